"""A TCP proxy on 127.0.0.1 with faults as verbs: cut, stall, restore."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from types import TracebackType

from tests.support.frames import NO_LINGERING
from tests.support.free_port import free_port

_CHUNK_BYTES = 65536


class TcpProxy:
    """Passes bytes on between whoever connects and one address; a context manager.

    A thread of its own moves the bytes, so that nothing that the test does meanwhile holds them up.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = free_port()
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._listener: socket.socket | None = None
        self._stalled = self._cut = self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Reset every connection, and refuse new ones."""
        with self._lock:
            self._cut = True
            self._drop_listener()
            for one in list(self._pairs):
                self._drop(one)

    def stall(self) -> None:
        """Pass nothing on, and say nothing: what a cable that was pulled looks like."""
        with self._lock:
            self._stalled = True

    def restore(self) -> None:
        """Be a good network again; what was stalled is passed on."""
        with self._lock:
            self._stalled = False
            if self._cut or self._listener is None:
                self._cut = False
                self._listen()

    def __enter__(self) -> TcpProxy:
        self._listen()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._thread.join()
        self.cut()
        self._selector.close()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _drop_listener(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _run(self) -> None:
        while not self._ended:
            ready = self._selector.select(0.02)
            with self._lock:
                if self._stalled:
                    # Nothing is read, so that the senders' own buffers fill as they would.
                    ready = []
                for key, _ in ready:
                    if key.fileobj is self._listener:
                        self._accept(self._listener)
                    elif key.fileobj in self._pairs:
                        self._pass_on(key.fileobj)  # type: ignore[arg-type]
            if self._stalled:
                threading.Event().wait(0.02)

    def _accept(self, listener: socket.socket) -> None:
        near, _ = listener.accept()
        try:
            far = socket.create_connection(self.target, timeout=2)
        except OSError:
            near.close()
            return
        # A peer that does not read blocks the proxy, as a full buffer of a router would: the tests' peers all read.
        for one, other in ((near, far), (far, near)):
            one.settimeout(5)
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        try:
            data = source.recv(_CHUNK_BYTES)
            if data:
                self._pairs[source].sendall(data)
                return
        except OSError:
            pass
        self._drop(source)

    def _drop(self, one: socket.socket) -> None:
        other = self._pairs.pop(one, None)
        for end in (one, other):
            if end is None:
                continue
            self._pairs.pop(end, None)
            with suppress(KeyError, ValueError):
                self._selector.unregister(end)
            with suppress(OSError):
                # Linger of 0 seconds: a reset, not an orderly end.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING)
            end.close()
