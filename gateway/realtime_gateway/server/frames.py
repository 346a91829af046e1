"""Pure. Frames as the server writes them (RFC 6455 section 5.2): whole, unmasked."""

from __future__ import annotations

import struct

TEXT, BINARY, PING, PONG = 1, 2, 9, 10
COMPRESSED = 0x40  # RSV1, beside the opcode (RFC 7692 section 6)


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Return one whole unmasked frame (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload
