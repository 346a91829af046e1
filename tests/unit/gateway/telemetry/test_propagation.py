"""Trace context as bytes, and as a handshake brings it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from realtime_gateway.telemetry import propagation

TRACE, SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def context(flags: int = 1, state: TraceState | None = None) -> SpanContext:
    return SpanContext(TRACE, SPAN, is_remote=True, trace_flags=TraceFlags(flags), trace_state=state)


@pytest.mark.parametrize("flags", [0, 1])
def test_what_is_packed_is_read_back(flags: int) -> None:
    packed = propagation.pack(context(flags, TraceState([("vendor", "1"), ("other", "2")])))
    read = propagation.unpack(packed)
    assert read is not None
    assert (read.trace_id, read.span_id, read.trace_flags, read.is_remote) == (TRACE, SPAN, flags, True)
    assert read.trace_state.to_header() == "vendor=1,other=2"


def test_without_a_tracestate_it_is_26_bytes() -> None:
    assert len(propagation.pack(context())) == 26


def test_a_tracestate_that_is_too_long_is_left_behind() -> None:
    long = TraceState([(f"vendor{number}", "x" * 100) for number in range(10)])
    assert len(propagation.pack(context(state=long))) == 26


@given(st.binary(max_size=60))
def test_bytes_of_anything_else_are_no_context_and_no_error(data: bytes) -> None:
    read = propagation.unpack(data)
    assert read is None or (read.is_valid and data[0] == 0)


def test_another_version_and_empty_ids_are_no_context() -> None:
    packed = propagation.pack(context())
    assert propagation.unpack(b"\1" + packed[1:]) is None
    assert propagation.unpack(b"\0" * 26) is None


def test_the_header_is_read() -> None:
    found = propagation.from_request([(b"traceparent", PARENT), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")], b"")
    assert found is not None
    assert (found.trace_id, found.span_id, found.trace_flags) == (TRACE, SPAN, 1)
    assert found.trace_state.to_header() == "a=1,b=2"


def test_the_query_is_read_when_there_is_no_header() -> None:
    other = PARENT.replace(b"b7ad", b"c7ad")
    query = b"room=1&traceparent=" + other + b"&tracestate=a%3D1"
    found = propagation.from_request([], query)
    assert found is not None
    assert found.span_id == 0xC7AD6B7169203331
    assert found.trace_state.to_header() == "a=1"
    both = propagation.from_request([(b"traceparent", PARENT)], query)
    assert both is not None
    assert both.span_id == SPAN


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"traceparent", b"")],
        [(b"traceparent", b"garbage")],
        [(b"traceparent", PARENT), (b"traceparent", PARENT)],
        [(b"traceparent", PARENT + b"-" + b"x" * 200)],
        [(b"traceparent", PARENT.replace(b"00-", b"ff-", 1))],
        [(b"traceparent", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01")],
        [(b"traceparent", "ü".encode("latin1"))],
    ],
)
def test_a_malformed_parent_is_none(headers: list[tuple[bytes, bytes]]) -> None:
    assert propagation.from_request(headers, b"traceparents=1") is None


@pytest.mark.parametrize(
    "text",
    [
        '"traceparent"',
        '["traceparent"]',
        '{"traceparent": 7}',
        '{"traceparent": "made up"}',
        '{"traceparent": ',
        '{"inner": {"traceparent": "' + PARENT.decode() + '"}}',
        "[" * 100_000 + '"traceparent"',
    ],
)
def test_a_message_without_a_readable_context_brings_none(text: str) -> None:
    assert propagation.from_message(text) is None


def test_a_messages_context_and_state_are_read() -> None:
    context = propagation.from_message(
        json.dumps({"traceparent": PARENT.decode(), "tracestate": "vendor=1", "more": [1]})
    )
    assert context is not None
    assert f"{context.trace_id:032x}" == PARENT.decode().split("-")[1]
    assert context.trace_state.to_header() == "vendor=1"
    alone = propagation.from_message(json.dumps({"traceparent": PARENT.decode(), "tracestate": 7}))
    assert alone is not None
    assert not alone.trace_state
