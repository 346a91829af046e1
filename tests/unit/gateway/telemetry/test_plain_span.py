"""A plain span is a span like any other: what it cannot say itself the SDK says in its place, under the same ids."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from realtime_gateway.telemetry.own_spans import OwnSpans
from realtime_gateway.telemetry.plain_span import MOST_ATTRIBUTES, MOST_EVENTS, PlainSpan
from realtime_gateway.telemetry.plain_tracer import may_be_plain

REMOTE = SpanContext(1 << 100, 7, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("vendor", "1")]))


class Ended(SpanProcessor):
    """What has ended: plain spans, and the SDK's."""

    def __init__(self) -> None:
        self.plain: list[PlainSpan] = []
        self.of_sdk: list[ReadableSpan] = []

    def add(self, span: PlainSpan) -> None:
        self.plain.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        self.of_sdk.append(span)


@pytest.fixture
def ended() -> Ended:
    return Ended()


@pytest.fixture
def tracer(ended: Ended) -> trace.Tracer:
    own = OwnSpans(partial(TracerProvider, shutdown_on_exit=False))
    own.go_to(ended)
    return own.tracer


def plain(tracer: trace.Tracer, name: str = "a name", parent: SpanContext | None = None, **more: Any) -> PlainSpan:
    context = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
    made = tracer.start_span(name, context, **more)
    assert isinstance(made, PlainSpan)
    return made


def test_a_span_without_a_parent_begins_a_trace_and_others_continue_it(tracer: trace.Tracer, ended: Ended) -> None:
    root = plain(tracer, kind=SpanKind.SERVER, attributes={"a": 1})
    child = tracer.start_span("child", set_span_in_context(root, Context()))
    child.end(5)
    root.end()
    of_sdk = TracerProvider(shutdown_on_exit=False).get_tracer("sdk").start_span("", Context()).get_span_context()
    context = root.get_span_context()
    assert context.is_valid
    assert (context.trace_flags, context.trace_state) == (of_sdk.trace_flags, of_sdk.trace_state)
    assert child.get_span_context().trace_id == context.trace_id
    told_child, told_root = (span.readable() for span in ended.plain)
    assert (told_child.name, told_child.parent, told_child.end_time) == ("child", context, 5)
    assert (told_root.kind, told_root.parent, dict(told_root.attributes or {})) == (SpanKind.SERVER, None, {"a": 1})
    assert (told_root.start_time or 0) <= (told_root.end_time or 0)
    assert not ended.of_sdk


def test_a_remote_parent_is_continued_with_its_state_unless_it_is_not_sampled(tracer: trace.Tracer) -> None:
    child = plain(tracer, parent=REMOTE)
    assert child.parent == REMOTE
    assert child.get_span_context().trace_state == REMOTE.trace_state
    unsampled = SpanContext(1, 1, is_remote=True)
    found = tracer.start_span("a", set_span_in_context(NonRecordingSpan(unsampled), Context()))
    assert not found.is_recording()
    assert found.get_span_context().trace_id == 1


CHANGES = {
    "a list": lambda span: span.set_attribute("x", ["a", "b"]),
    "a key that is none": lambda span: span.set_attribute("", "a"),
    "too many attributes": lambda span: span.set_attributes({f"n{n}": n for n in range(200)}),
    "an event with attributes": lambda span: span.add_event("e", {"a": 1}, 4),
    "too many events": lambda span: [span.add_event(f"e{n}", timestamp=n) for n in range(MOST_EVENTS + 1)],
    "a link": lambda span: span.add_link(REMOTE, {"a": 1}),
    "a name": lambda span: span.update_name("another"),
    "a status with words": lambda span: span.set_status(Status(StatusCode.ERROR, "why")),
    "a status that is final": lambda span: (span.set_status(StatusCode.OK), span.set_status(StatusCode.ERROR)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_it_cannot_say_the_sdk_says_in_its_place(change: str, tracer: trace.Tracer, ended: Ended) -> None:
    links = [Link(REMOTE)]
    span = plain(tracer, parent=REMOTE, kind=SpanKind.CONSUMER, attributes={"before": 1}, links=links, start_time=3)
    provider = TracerProvider(shutdown_on_exit=False)
    context = set_span_in_context(NonRecordingSpan(REMOTE), Context())
    like: Any = provider.get_tracer("x").start_span("a name", context, SpanKind.CONSUMER, {"before": 1}, links, 3)
    for one in (span, like):
        one.add_event("early", timestamp=2)
        CHANGES[change](one)
        one.set_attribute("after", 2)
        one.end(9)
    assert not ended.plain
    [told] = ended.of_sdk
    assert told.context == span.get_span_context()
    assert not span.is_recording()
    for what in ("name", "parent", "kind", "start_time", "end_time"):
        assert getattr(told, what) == getattr(like, what), what
    assert dict(told.attributes or {}) == dict(like.attributes)
    assert [(one.name, one.timestamp, dict(one.attributes or {})) for one in told.events] == [
        (one.name, one.timestamp, dict(one.attributes or {})) for one in like.events
    ]
    assert [(one.context, dict(one.attributes or {})) for one in told.links] == [
        (one.context, dict(one.attributes or {})) for one in like.links
    ]
    assert (told.status.status_code, told.status.description) == (like.status.status_code, like.status.description)
    assert told.dropped_attributes == like.dropped_attributes


def test_what_fails_in_its_block_is_an_event_of_it(tracer: trace.Tracer, ended: Ended) -> None:
    span = plain(tracer)
    with pytest.raises(KeyError), trace.use_span(span, end_on_exit=True):
        raise KeyError("lost")
    with pytest.raises(KeyError), plain(tracer):
        raise KeyError("lost")
    for told in ended.of_sdk:
        assert [event.name for event in told.events] == ["exception"]
        assert told.status.description == "KeyError: 'lost'"
    assert ended.of_sdk[0].context == span.get_span_context()


def test_it_tells_what_a_span_of_the_sdk_tells(tracer: trace.Tracer) -> None:
    span: Any = plain(tracer, attributes={"a": 1}, start_time=3)
    span.add_event("taken", timestamp=4)
    assert (span.start_time, span.end_time, span.context) == (3, None, span.get_span_context())
    assert span.status.is_ok
    assert '"taken"' in span.to_json()
    assert span.instrumentation_scope.name == "realtime_gateway"
    with pytest.raises(AttributeError):
        _ = span.nothing_of_this_name
    span.set_status(StatusCode.ERROR)
    assert not span.status.is_ok


def test_what_comes_too_late_changes_nothing_and_is_said(
    tracer: trace.Tracer, ended: Ended, caplog: pytest.LogCaptureFixture
) -> None:
    span = plain(tracer)
    span.end(3)
    for late in (lambda: span.set_attribute("a", 1), lambda: span.add_event("a"), lambda: span.end(4)):
        late()
    span.set_status(StatusCode.ERROR)
    assert (span.end_ns, span.attributes, list(span.moments), span.is_failed) == (3, {}, [], False)
    assert len(ended.plain) == 1
    assert len(caplog.records) == 4


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", str(MOST_ATTRIBUTES - 1)),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "1"),
    ],
)
def test_bounds_that_the_environment_sets_are_kept_by_the_sdk(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert may_be_plain()
    monkeypatch.setenv(variable, value)
    assert not may_be_plain()
    made = OwnSpans(partial(TracerProvider, shutdown_on_exit=False)).tracer.start_span("a", Context())
    assert not isinstance(made, PlainSpan)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_that_otlp_cannot_say_is_left_to_the_sdk(number: int, tracer: trace.Tracer, ended: Ended) -> None:
    span = plain(tracer)
    span.set_attribute("number", number)
    span.end()
    assert not ended.plain
    assert len(ended.of_sdk) == 1
