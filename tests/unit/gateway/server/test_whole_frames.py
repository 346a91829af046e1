from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.frames import client_frame

from realtime_gateway.server.whole_frames import BIG_INTEGER_BYTES, is_pong, unmasked, whole_close, whole_message

SIZES = (0, 1, 3, 4, 125, 126, BIG_INTEGER_BYTES, BIG_INTEGER_BYTES + 1, 65_535, 65_536)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("head", "is_binary"), [(0x81, False), (0x82, True)])
def test_a_whole_message_is_read_and_where_the_next_begins(size: int, head: int, is_binary: bool):
    payload = bytes(index % 251 for index in range(size))
    frame = client_frame(head, payload)
    assert whole_message(b"??" + frame + b"next", 2, 0) == (is_binary, payload, 2 + len(frame))


@pytest.mark.parametrize("size", SIZES)
def test_a_part_of_it_is_none(size: int):
    frame = client_frame(0x82, b"x" * size)
    for length in {0, 1, 2, 5, 6, 9, 13, len(frame) - 1}:
        assert whole_message(frame[: min(length, len(frame) - 1)], 0, 0) is None


@pytest.mark.parametrize("head", sorted(set(range(256)) - {0x81, 0x82}))
def test_every_other_kind_of_frame_is_left_alone(head: int):
    assert whole_message(client_frame(head, b"hello"), 0, 0) is None


def test_what_is_wrong_or_too_long_is_left_alone():
    assert whole_message(client_frame(0x81, b"hello", mask=None) + b"more", 0, 0) is None
    assert whole_message(client_frame(0x81, b"hello", length=b"\xfe\0\x05"), 0, 0) is None
    assert whole_message(client_frame(0x81, b"hello", length=b"\xff" + bytes(7) + b"\x05"), 0, 0) is None
    assert whole_message(client_frame(0x81, b"hello"), 0, 4) is None
    assert whole_message(client_frame(0x81, b"hello"), 0, 5) is not None


def test_a_whole_pong_is_known_by_what_was_asked():
    pong = client_frame(0x8A, b"there?")
    assert is_pong(b"before" + pong, 6, b"there?")
    assert not is_pong(pong, 0, b"where?")
    assert not is_pong(pong, 0, b"there")
    assert not is_pong(client_frame(0x8A, b"there?", mask=None) + b"more", 0, b"there?")
    assert not is_pong(client_frame(0x89, b"there?"), 0, b"there?")
    for length in range(len(pong)):
        assert not is_pong(pong[:length], 0, b"there?")


@given(mask=st.binary(min_size=4, max_size=4), payload=st.binary(max_size=BIG_INTEGER_BYTES * 2))
def test_a_mask_is_taken_off_byte_by_byte(mask: bytes, payload: bytes):
    assert unmasked(mask, payload) == bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", (None, None)),
        (b"\x03\xe8", (1000, None)),
        (b"\x0f\xa0over", (4000, b"over")),
        (b"\x03\xe8" + b"x" * 123, (1000, b"x" * 123)),
    ],
)
def test_a_close_is_read_with_its_code_and_its_reason(payload: bytes, expected: object):
    assert whole_close(b"ab" + client_frame(0x88, payload) + b"more", 2) == expected


@pytest.mark.parametrize(
    "frame",
    [
        client_frame(0x88, b"\x03"),  # half a code
        client_frame(0x08, b"\x03\xe8"),  # a fragment
        client_frame(0xC8, b"\x03\xe8"),  # a reserved bit
        client_frame(0x8A, b"\x03\xe8"),
        b"\x88\x02\x03\xe8and more",  # no mask
        b"\x88\xfe" + b"x" * 200,  # longer than a frame of control may be
    ],
)
def test_any_other_frame_is_left_to_the_whole_parser(frame: bytes):
    assert whole_close(frame, 0) is None


@pytest.mark.parametrize("size", range(len(client_frame(0x88, b"\x03\xe8why"))))
def test_a_close_that_is_not_whole_is_not_read(size: int):
    assert whole_close(client_frame(0x88, b"\x03\xe8why")[:size], 0) is None
