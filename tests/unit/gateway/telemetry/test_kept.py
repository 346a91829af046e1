"""What is kept of messages that are not traced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from realtime_gateway.layer.offer import Offer
from realtime_gateway.layer.process_state import ProcessState
from realtime_gateway.layer.undelivered import Delivery
from realtime_gateway.telemetry import kept, propagation, recorder, spans
from realtime_gateway.telemetry.few import Few
from realtime_gateway.telemetry.recorder import Family


class PackedMessage:
    def decode(self) -> dict[str, Any]:
        return {"type": "x"}


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Where spans go; messages are never traced."""
    yield from exporting(monkeypatch, sampling.ALWAYS_ON)


def exporting(monkeypatch: pytest.MonkeyPatch, sampler: sampling.Sampler) -> Iterator[InMemorySpanExporter]:
    for budget in ("_may_keep_slow", "_may_keep_failed"):
        monkeypatch.setattr(kept, budget, Few(kept.KEPT_PER_SECOND, lambda: 7.0))
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.wire(spans.Tracing(provider.get_tracer("test"), lambda: False))
    yield exporter
    spans.wire(None)
    provider.shutdown()


def test_a_slow_message_is_one_span_as_long_as_it_took(exporter: InMemorySpanExporter) -> None:
    before_ns = time.time_ns()
    trace = kept.slow("slow delivery", 2.5, {"realtime_gateway.way": "direct"})
    (span,) = exporter.get_finished_spans()
    context = propagation.unpack(trace)
    assert context is not None
    assert (context.trace_id, context.span_id) == (span.context.trace_id, span.context.span_id)
    assert span.end_time - span.start_time == 2_500_000_000
    assert before_ns <= span.end_time <= time.time_ns()
    assert span.parent is None
    assert span.attributes == {"realtime_gateway.kept": "slow", "realtime_gateway.way": "direct"}


def test_what_failed_is_the_exemplar_of_what_counts_it(exporter: InMemorySpanExporter) -> None:
    counter = Family("x", "counter", "X.", "reason")
    counter.add(1, "broken")
    link = propagation.unpack(kept.slow("slow delivery", 2.0, {}))
    kept.failure("application failed", "ValueError", counter, "broken", link)
    span = exporter.get_finished_spans()[-1]
    assert not span.status.is_ok
    assert span.attributes == {"realtime_gateway.kept": "failed", "error.type": "ValueError"}
    assert [one.context.span_id for one in span.links] == [link.span_id] if link else False
    exemplar = counter.exemplars["broken"]
    context = propagation.unpack(exemplar.trace)
    assert context is not None
    assert (context.span_id, exemplar.value) == (span.context.span_id, 1.0)


def test_what_the_fan_out_refuses_is_kept_as_any_other_drop(exporter: InMemorySpanExporter) -> None:
    before = recorder.layer_dropped.values["capacity"]
    delivery = Delivery("room", "group", PackedMessage(), 0.0, 2)
    Offer(delivery, lambda _, __: None, lambda _: None, cast(ProcessState, None)).refused(2)
    (span,) = exporter.get_finished_spans()
    assert (span.name, (span.attributes or {})["error.type"]) == ("message dropped", "capacity")
    context = propagation.unpack(recorder.layer_dropped.exemplars["capacity"].trace)
    assert context is not None
    assert context.span_id == span.context.span_id
    assert recorder.layer_dropped.values["capacity"] == before + 2


def test_of_many_at_once_the_first_are_kept_and_slow_ones_leave_those_that_failed_their_own(
    exporter: InMemorySpanExporter,
) -> None:
    counter = Family("x", "counter", "X.")
    traces = [kept.slow("slow delivery", 2.0, {}) for _ in range(3 * kept.KEPT_PER_SECOND)]
    assert [bool(trace) for trace in traces] == [True] * kept.KEPT_PER_SECOND + [False] * 2 * kept.KEPT_PER_SECOND
    assert len(exporter.get_finished_spans()) == kept.KEPT_PER_SECOND
    for _ in range(3 * kept.KEPT_PER_SECOND):
        kept.failure("application failed", "ValueError", counter)
    assert len(exporter.get_finished_spans()) == 2 * kept.KEPT_PER_SECOND
    assert kept.slow("slow delivery", 2.0, {}) == b""


def test_where_nothing_is_traced_nothing_is_kept() -> None:
    counter = Family("x", "counter", "X.")
    kept.failure("application failed", "ValueError", counter)
    assert kept.slow("slow delivery", 2.0, {}) == b""
    assert not counter.exemplars


def test_what_a_projects_own_sampler_leaves_out_is_no_exemplar(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Family("x", "counter", "X.")
    for _ in exporting(monkeypatch, sampling.ALWAYS_OFF):
        kept.failure("application failed", "ValueError", counter)
        assert kept.slow("slow delivery", 2.0, {}) == b""
    assert not counter.exemplars
