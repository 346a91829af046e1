import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_gateway.resource.quantities import SIZE_PATTERN, format_size, is_quantity, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("64Ki", 65_536),
        ("1Mi", 1_048_576),
        ("1.5Gi", 1_610_612_736),
        ("2k", 2_000),
        ("3M", 3_000_000),
        ("1e3", 1_000),
        (".5Ki", 512),
        ("1.0001Ki", 1025),  # rounded up, as Kubernetes does
        ("+8", 8),
    ],
)
def test_a_size_counts_bytes_by_the_suffixes_of_kubernetes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "Mi", "1MB", "1 Mi", "1mi", "-1", "500m", "1K", "0x10", "1e", "1Mi\n", "\u0661Mi"]
)
def test_what_is_not_a_size_is_none(text):
    assert parse_size(text) is None


@pytest.mark.parametrize("text", ["500m", "0.1", "2", "-1", "100n", "1Gi"])
def test_quantities_of_other_things_have_smaller_suffixes_too(text):
    assert is_quantity(text)


@given(st.integers(0, 10**17))
def test_a_formatted_size_reads_as_the_same_number(size):
    assert parse_size(format_size(size)) == size


@given(st.text(st.sampled_from("0123456789.+-eEKMGiTkmn")))
def test_the_pattern_of_the_schema_accepts_exactly_what_the_parser_does(text):
    assert (re.fullmatch(SIZE_PATTERN, text) is not None) == (parse_size(text) is not None)
