const room = JSON.parse(document.getElementById("room").textContent);
const socket = new WebSocket(`ws://${location.host}/ws/chat/${room}/`);
socket.onmessage = (event) => { document.getElementById("log").value += JSON.parse(event.data).message + "\n"; };
document.getElementById("form").onsubmit = () => {
  socket.send(JSON.stringify({ message: document.getElementById("message").value }));
  return false;
};
