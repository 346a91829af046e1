"""Pure. The frames that nearly all clients send: whole messages, masked, in one frame (RFC 6455 section 5.2).

autobahn's parser takes some twenty microseconds per frame because it can do everything; what this does not know is left
to it: fragments, control frames but the close and the pong that was asked for, extensions, mistakes, and what is over a
limit.
"""

from __future__ import annotations

import struct

from autobahn.websocket.xormasker import create_xor_masker

# Up to here one big integer is faster than autobahn's native masker (0.7 µs at 114 bytes, 111 µs at 64 KiB).
BIG_INTEGER_BYTES = 2048
MASKED = 0x80
PONG_HEAD_BYTES = 6  # two, and the mask
_PONG, _CLOSE = 0x8A, 0x88
_LONGEST_CONTROL_BYTES = 125
_WHOLE = (0x81, 0x82)  # the last frame of a message, and its first: text, binary


def whole_message(data: bytes, start: int, limit_bytes: int) -> tuple[bool, bytes, int] | None:
    """Read one whole message at ``start``; None where there is none of the ordinary kind.

    Args:
        data: what has been received.
        start: where a frame begins.
        limit_bytes: a longer payload is left alone; 0 is no limit.

    Returns:
        Whether it is binary, its payload, and where the next frame begins.
    """
    if len(data) - start < 6 or data[start] not in _WHOLE or data[start + 1] < MASKED:
        return None
    read = _size(data, start)
    if read is None:
        return None
    size, mask_at = read
    payload_at = mask_at + 4
    end = payload_at + size
    if end > len(data) or 0 < limit_bytes < size:
        return None
    return data[start] == _WHOLE[1], unmasked(data[mask_at:payload_at], data[payload_at:end]), end


def is_pong(data: bytes, start: int, payload: bytes) -> bool:
    """Say whether a whole pong with this short payload, masked, begins at ``start``."""
    size = len(payload)
    end = start + PONG_HEAD_BYTES + size
    if len(data) < end or data[start] != _PONG or data[start + 1] != MASKED | size:
        return False
    return unmasked(data[start + 2 : start + PONG_HEAD_BYTES], data[start + PONG_HEAD_BYTES : end]) == payload


def whole_close(data: bytes, start: int) -> tuple[int | None, bytes | None] | None:
    """Return the code and the reason of a whole close frame, masked, at ``start``; None where there is none.

    Neither has been looked at, and either may be missing (RFC 6455 section 5.5.1).
    """
    if len(data) - start < PONG_HEAD_BYTES or data[start] != _CLOSE:
        return None
    size, payload_at = data[start + 1] - MASKED, start + PONG_HEAD_BYTES
    if not 0 <= size <= _LONGEST_CONTROL_BYTES or size == 1 or len(data) < payload_at + size:
        return None
    if not size:
        return None, None
    payload = unmasked(data[start + 2 : payload_at], data[payload_at : payload_at + size])
    return int.from_bytes(payload[:2], "big"), payload[2:] or None


def _size(data: bytes, start: int) -> tuple[int, int] | None:
    """Return the payload's size and where the mask begins; None: incomplete, or not written as short as it can be."""
    size = data[start + 1] & 0x7F
    if size < 126:
        return size, start + 2
    form, least = ("!H", 126) if size == 126 else ("!Q", 65536)
    width = struct.calcsize(form)
    if len(data) - start < 2 + width:
        return None
    (size,) = struct.unpack_from(form, data, start + 2)
    return (size, start + 2 + width) if size >= least else None


def unmasked(mask: bytes, payload: bytes) -> bytes:
    """Return the payload without its mask (section 5.3)."""
    size = len(payload)
    if size > BIG_INTEGER_BYTES:
        unmasked_payload: bytes = create_xor_masker(mask, size).process(payload)
        return unmasked_payload
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")
