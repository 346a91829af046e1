from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_gateway.layer.envelope import Entry, EnvelopeInvalid, Kind, pack, parse

ENTRIES = st.builds(
    Entry,
    kind=st.sampled_from(Kind).map(int),
    epoch=st.integers(0, 2**32 - 1),
    sender=st.integers(0, 2**64 - 1),
    sequence=st.integers(0, 2**64 - 1),
    previous=st.integers(0, 2**64 - 1),
    age_ms=st.integers(0, 2**32 - 1),
    channel=st.text(max_size=100),
    trace=st.binary(max_size=200),
    body=st.binary(max_size=1000),
)


@given(ENTRIES, st.binary(max_size=30))
def test_what_is_packed_is_parsed_wherever_it_starts(entry: Entry, before: bytes) -> None:
    assert parse(before + pack(entry), len(before)) == entry


@given(ENTRIES, st.integers(min_value=-(2**40), max_value=2**40))
def test_an_age_out_of_range_is_brought_into_it(entry: Entry, age_ms: int) -> None:
    assert parse(pack(entry._replace(age_ms=age_ms))).age_ms == min(max(age_ms, 0), 2**32 - 1)


@given(ENTRIES, st.integers(0, 37))
def test_bytes_that_end_too_early_are_no_entry(entry: Entry, length: int) -> None:
    with pytest.raises(EnvelopeInvalid):
        parse(pack(entry)[:length])


def test_an_entry_that_ends_within_its_channel_is_no_entry() -> None:
    data = pack(Entry(1, 0, 0, 0, 0, 0, "channel", b"", b""))
    with pytest.raises(EnvelopeInvalid, match="ends before its body"):
        parse(data[:-1])


def test_an_entry_of_another_version_is_named() -> None:
    data = bytearray(pack(Entry(1, 0, 0, 0, 0, 0, "", b"", b"")))
    data[0] = 9
    with pytest.raises(EnvelopeInvalid, match="version 9"):
        parse(bytes(data))


@given(st.binary(max_size=100))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    with contextlib.suppress(EnvelopeInvalid):
        parse(data)


def test_an_entry_whose_channel_is_no_text_is_no_entry() -> None:
    data = pack(Entry(1, 0, 0, 0, 0, 0, "channel", b"", b"")).replace(b"channel", b"chann\xff\xff")
    with pytest.raises(EnvelopeInvalid, match="no text"):
        parse(data)
