from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_gateway.server.deflate import Agreement, Compression, Deflate, Offer, Settings, agree, offers

PLENTY = Settings(enabled=True, window_bits=12, context_bytes=10**9)
NONE_KEPT = Settings(enabled=True, window_bits=12)

READ = {
    "plain": (b"permessage-deflate", [Offer()]),
    "what a browser sends": (b"permessage-deflate; client_max_window_bits", [Offer(client_max_window_bits=15)]),
    "everything, in quotes too": (
        b'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits="10";'
        b" client_max_window_bits=11",
        [Offer(True, True, 10, 11)],
    ),
    "several, in the client's order": (
        b"permessage-deflate; server_max_window_bits=9, permessage-deflate",
        [Offer(server_max_window_bits=9), Offer()],
    ),
    "other extensions are passed over": (b"permessage-bzip2, x-thing; a=b, permessage-deflate", [Offer()]),
    "an unknown parameter": (b"permessage-deflate; shoe_size=43", []),
    "a window that is none": (b"permessage-deflate; server_max_window_bits=16", []),
    "a window that zlib cannot": (b"permessage-deflate; server_max_window_bits=8", []),
    "a window without a number": (b"permessage-deflate; server_max_window_bits", []),
    "a value where none belongs": (b"permessage-deflate; server_no_context_takeover=1", []),
    "a parameter twice": (b"permessage-deflate; client_max_window_bits=9; client_max_window_bits=9", []),
    "nonsense": (b";=;,,;", []),
}


@pytest.mark.parametrize("sentence", READ)
def test_offers_are_read_and_those_that_cannot_be_taken_up_are_passed_over(sentence: str):
    value, expected = READ[sentence]
    assert list(offers([value])) == expected


@given(st.binary(max_size=100))
def test_no_header_is_an_exception(value: bytes):
    list(offers([value, b"permessage-deflate;" + value]))


def test_without_a_budget_both_sides_begin_each_message_anew_and_nothing_is_held():
    compression = Compression(NONE_KEPT)
    agreed = compression.answer([b"permessage-deflate; client_max_window_bits"])
    assert agreed is not None
    deflate, answer = agreed
    assert answer == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12"
    )
    deflate.compressed(b"x" * 1000)
    assert (deflate.held_bytes, deflate._compressor) == (0, None)


def test_contexts_are_kept_while_the_budget_lasts_and_again_when_somebody_leaves():
    one = agree(Offer(), PLENTY, takeover=True).held_bytes
    compression = Compression(Settings(enabled=True, window_bits=12, context_bytes=2 * one))
    given = [compression.answer([b"permessage-deflate"]) for _ in range(3)]
    assert [deflate.held_bytes > 0 for deflate, _ in filter(None, given)] == [True, True, False]
    assert given[0] is not None
    compression.gone(given[0][0])
    again = compression.answer([b"permessage-deflate"])
    assert again is not None
    assert again[0].held_bytes == one


def test_nothing_is_agreed_on_when_it_is_off_or_not_offered():
    assert Compression(Settings(enabled=False)).answer([b"permessage-deflate"]) is None
    assert Compression(PLENTY).answer([b"permessage-bzip2"]) is None
    assert Compression(PLENTY).answer([]) is None


def test_the_client_gets_no_larger_window_than_it_asks_for():
    agreement = agree(Offer(server_max_window_bits=9, client_max_window_bits=10), PLENTY, takeover=True)
    assert agreement == Agreement(
        "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10", True, True, 9, 10
    )


@given(
    messages=st.lists(st.binary(max_size=3000), max_size=5),
    takeover=st.booleans(),
    offer=st.builds(
        Offer, st.booleans(), st.booleans(), st.none() | st.integers(9, 15), st.none() | st.integers(9, 15)
    ),
)
def test_a_client_that_keeps_to_the_agreement_reads_every_message(messages: list[bytes], takeover: bool, offer: Offer):
    agreement = agree(offer, PLENTY, takeover=takeover)
    deflate = Deflate(agreement)
    reader = zlib.decompressobj(-agreement.server_window_bits)
    for message in messages:
        if not agreement.server_takeover:
            reader = zlib.decompressobj(-agreement.server_window_bits)
        assert reader.decompress(deflate.compressed(message) + b"\0\0\xff\xff") == message
