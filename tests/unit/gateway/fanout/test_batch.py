"""Messages of one turn are encoded once and joined once for all who get the same."""

from __future__ import annotations

from typing import Any

from realtime_gateway.fanout.batch import Batch, Entry, Kind, Member, Outbox
from realtime_gateway.fanout.rendering import Content, Outcome


class Lines(Outbox):
    """An outbox whose frames are lines, and which counts what it encodes."""

    encoding = "lines"

    def __init__(self) -> None:
        self.encoded = 0

    def encode(self, payload: bytes, is_binary: bool) -> bytes:
        self.encoded += 1
        return (b"binary " if is_binary else b"") + payload + b"\n"

    def write(self, frames: bytes) -> bool:
        return True


class Consumer:
    pass


OFFER: Any = None  # nothing here delivers


def batch_of(*contents: tuple[Content, str | None]) -> tuple[Batch, list[Member], Lines]:
    lines = Lines()
    kind = Kind(Consumer, lines.encoding)
    members = [Member(name, kind, lines) for name in ("one", "two")]
    batch = Batch("tea", members)
    for content, excluded in contents:
        batch.add(Entry(OFFER, {Consumer: Outcome(content, excluded)}))
    return batch, members, lines


def test_frames_are_joined_in_order_and_what_sends_nothing_is_left_out() -> None:
    batch, (one, _), lines = batch_of(("a", None), (None, None), (b"b", None))
    joined = batch.joined(one.kind, lines)
    assert (joined.frames, joined.messages) == (b"a\nbinary b\n", 2)


def test_whoever_is_left_out_of_one_message_gets_the_others_and_nothing_is_encoded_twice() -> None:
    batch, (one, two), lines = batch_of(("a", None), ("b", "one"), ("c", "two"))
    joined = batch.joined(one.kind, lines)
    assert joined.excluded == {"one", "two"}
    assert batch.joined_for(one, lines).frames == b"a\nc\n"
    assert batch.joined_for(two, lines).frames == b"a\nb\n"
    assert lines.encoded == 3


def test_a_batch_knows_its_weight() -> None:
    batch, _, _ = batch_of(("abc", None), (None, None), (b"de", None))
    assert batch.size_bytes == 5
