"use strict";

// A WebSocket that comes back. `socket.send` answers false while there is no connection.
function openSocket(path, onMessage, onState = () => {}) {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  let current = null;
  let failures = 0;

  function connect() {
    onState("connecting…");
    current = new WebSocket(url);
    current.onopen = () => { failures = 0; onState(""); };
    current.onmessage = (event) => onMessage(JSON.parse(event.data));
    current.onclose = (event) => {
      // 1012: the server ends this connection in order, and another one is there already. One that restarts says when
      // to come, so that not all of its pages do at once; who was only connected for too long comes within a second.
      // Anything else: wait longer each time, and a random part of that.
      const inOrder = event.code === 1012;
      const told = inOrder && event.reason.match(/reconnect in (\d+) s/);
      const longest = inOrder ? 1000 : Math.min(30000, 500 * 2 ** failures++);
      onState("reconnecting…");
      setTimeout(connect, (told ? 1000 * (told[1] - 1) : 0) + Math.random() * longest);
    };
  }

  connect();
  return {
    send(content) {
      if (current.readyState !== WebSocket.OPEN) return false;
      current.send(JSON.stringify(content));
      return true;
    },
  };
}
