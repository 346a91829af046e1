"""Frames as a client writes them, right and wrong, and a socket that reads the server's."""

from __future__ import annotations

import socket
import struct

MASK = b"\x1f\x2e\x3d\x4c"
NO_LINGERING = struct.pack("ii", 1, 0)


def client_frame(head: int, payload: bytes = b"", *, mask: bytes | None = MASK, length: bytes | None = None) -> bytes:
    """Build a frame (RFC 6455 section 5.2).

    Args:
        head: the first byte: FIN, RSV and opcode.
        mask: None leaves it out.
        length: the second byte and what extends it, in place of the right ones.
    """
    masked = 0 if mask is None else 0x80
    size = len(payload)
    if length is None and size < 126:
        length = bytes([masked | size])
    elif length is None:
        length = struct.pack("!BH", masked | 126, size) if size < 65536 else struct.pack("!BQ", masked | 127, size)
    if mask is None:
        return bytes([head]) + length + payload
    key = (mask * (size // 4 + 1))[:size]
    return bytes([head]) + length + mask + bytes(a ^ b for a, b in zip(payload, key, strict=True))


class RawClient:
    """A WebSocket whose bytes are the test's own."""

    def __init__(self, port: int, path: str, headers: bytes = b"", *, before: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.sendall(
            before
            + f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n".encode()
            + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            + headers
            + b"\r\n"
        )
        self._received = b""
        while b"\r\n\r\n" not in self._received:
            self._more()
        self.head, _, self._received = self._received.partition(b"\r\n\r\n")

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *problem: object) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Cut the connection: the server gets a reset in place of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING)
        self.socket.close()

    def send(self, *frames: bytes) -> None:
        self.socket.sendall(b"".join(frames))

    def frame(self) -> tuple[int, bytes]:
        """Wait for one frame of the server; return its first byte and its payload."""
        head, size = self._take(2)
        if size == 126:
            (size,) = struct.unpack("!H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._take(8))
        return head, self._take(size)

    def close_code(self) -> int:
        """Wait for the server's close frame, then for the end of the connection; return the code."""
        head, payload = self.frame()
        assert head == 0x88, (head, payload)
        self.send(client_frame(0x88, payload[:2]))
        assert self.at_end(), "the server goes on after its close frame"
        return int.from_bytes(payload[:2], "big")

    def at_end(self) -> bool:
        """Wait for more or for the end; say whether it was the end."""
        try:
            return not self._received and not self.socket.recv(1)
        except ConnectionError:
            return True

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        taken, self._received = self._received[:size], self._received[size:]
        return taken

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        assert piece, "the server has closed"
        self._received += piece
