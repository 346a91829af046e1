"""The bytes that stand in a stream, travel in a push and wait in a queue.

    offset  size  field
    0       1     version of this layout
    1       1     kind
    2       4     epoch the entry was written in
    6       8     sender: a random number per process start
    14      8     sequence: one counter per sender, over all destinations
    22      8     previous: the sender's last sequence before this one for the same destination, 0 when unknown
    30      4     age in milliseconds: how long ago the sender tried for the first time
    34      2     length of the channel's name
    36      2     length of the trace context
    38            channel's name · trace context · body

Big-endian. One pass over the header and two slices give an entry: every push in every process goes through here.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from struct import error as struct_error
from typing import NamedTuple

VERSION = 1
_HEADER = Struct(">BBIQQQIHH")
_MAX_AGE_MS = 2**32 - 1


class Kind(IntEnum):
    """What an entry is."""

    GROUP = 1  # a message to a group
    CHANNEL = 2  # a message to the specific channel that it names
    QUEUED = 3  # a message to a normal channel
    JOIN = 4  # a request to add the named channel to a group; the body says which
    LEAVE = 5  # a request to take it out
    ANSWER = 6  # the answer to either
    LOSS = 7  # its sender could not confirm an earlier message to the same destination


class Entry(NamedTuple):
    """An entry, as read."""

    kind: int
    epoch: int
    sender: int
    sequence: int
    previous: int
    age_ms: int
    channel: str
    trace: bytes
    body: bytes


class EnvelopeInvalid(ValueError):
    """Bytes that are no entry of this version, or an entry that does not fit into it."""


def pack(entry: Entry) -> bytes:
    """Return the bytes of an entry.

    Raises:
        EnvelopeInvalid: a number or a text is longer than its field.
    """
    kind, epoch, sender, sequence, previous, age_ms, channel, trace, body = entry
    name = channel.encode()
    age_ms = min(max(age_ms, 0), _MAX_AGE_MS)
    try:
        header = _HEADER.pack(VERSION, kind, epoch, sender, sequence, previous, age_ms, len(name), len(trace))
    except struct_error as error:
        raise EnvelopeInvalid(f"an entry of epoch {epoch} and number {sequence} does not fit: {error}") from error
    return b"".join((header, name, trace, body))


def parse(data: bytes, start: int = 0) -> Entry:
    """Read the entry that fills ``data`` from ``start`` to its end.

    Raises:
        EnvelopeInvalid: the bytes are no entry, or of a version that this code does not know.
    """
    try:
        version, kind, epoch, sender, sequence, previous, age_ms, channel_length, trace_length = _HEADER.unpack_from(
            data, start
        )
    except struct_error as error:
        raise EnvelopeInvalid(f"{len(data) - start} bytes are too few for an entry") from error
    if version != VERSION:
        raise EnvelopeInvalid(f"an entry of version {version}; this process reads version {VERSION}")
    channel_start = start + _HEADER.size
    trace_start = channel_start + channel_length
    body_start = trace_start + trace_length
    if body_start > len(data):
        raise EnvelopeInvalid(f"an entry that ends before its body, at {len(data)} of {body_start} bytes")
    try:
        channel = data[channel_start:trace_start].decode() if channel_length else ""
    except UnicodeDecodeError as error:
        raise EnvelopeInvalid("an entry whose channel is no text") from error
    return Entry(
        kind, epoch, sender, sequence, previous, age_ms, channel, data[trace_start:body_start], data[body_start:]
    )
