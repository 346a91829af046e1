"""The queue of the operator's spans: bounded, and nothing that is lost is lost unseen."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from tests.support.conditions import wait_until
from tests.unit.operator.test_exporting import counted

from realtime_operator import recording
from realtime_operator.span_counting import CountingProcessor

MOST = 4
SECONDS = 20.0


class Collector(SpanExporter):
    """In an exporter's place: takes nothing until it may, and ends each export as it is told to."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.asked = threading.Event()
        self.taken: list[str] = []
        self.error: Exception | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        assert self.may.wait(SECONDS)
        if self.error is not None:
            raise self.error
        self.taken += [span.name for span in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.may.set()


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def provider(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(CountingProcessor(collector, MOST))
    yield made
    made.shutdown()


def end(provider: TracerProvider, name: str) -> None:
    provider.get_tracer("test").start_span(name).end()


def dropped(reason: str) -> float:
    return counted("spans_dropped_total", reason=reason)


def test_what_does_not_fit_is_dropped_and_counted_and_what_waits_is_sent(
    provider: TracerProvider, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    before = dropped(recording.QUEUE_FULL)
    for number in range(MOST + 3):
        end(provider, str(number))
    assert collector.asked.wait(SECONDS)
    assert dropped(recording.QUEUE_FULL) == before + 3
    collector.may.set()
    wait_until(lambda: collector.taken == ["0", "1", "2", "3"], SECONDS)
    end(provider, "later")
    wait_until(lambda: collector.taken[MOST:] == ["later"], SECONDS)
    assert dropped(recording.QUEUE_FULL) == before + 3
    assert caplog.records == []


def test_an_exporter_that_raises_is_counted_as_a_collector_that_refuses_and_leaves_room(
    provider: TracerProvider, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.error = ValueError("not a span")
    collector.may.set()
    failed, refused, full = counted("exports_failed_total"), dropped(recording.REFUSED), dropped(recording.QUEUE_FULL)
    with caplog.at_level(logging.INFO):
        for number in range(MOST):
            end(provider, str(number))
        wait_until(lambda: dropped(recording.REFUSED) == refused + MOST, SECONDS)
        assert counted("exports_failed_total") == failed + MOST
        collector.error = None
        end(provider, "good")
        wait_until(lambda: collector.taken == ["good"], SECONDS)
    assert dropped(recording.QUEUE_FULL) == full
    said = [record.getMessage() for record in caplog.records]
    assert said.count("The collector does not take traces.") == 1
    assert "Traces could not be sent." in said
    assert not any("Exception while exporting" in line for line in said)


def test_a_span_that_is_not_sampled_takes_no_room(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    processor, full = CountingProcessor(collector, 1), dropped(recording.QUEUE_FULL)
    collector.may.set()
    unseen, seen = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    for made in (unseen, seen):
        made.add_span_processor(processor)
    for _ in range(3):
        end(unseen, "unseen")
    end(seen, "seen")
    wait_until(lambda: collector.taken == ["seen"], SECONDS)
    assert dropped(recording.QUEUE_FULL) == full
    processor.shutdown()
