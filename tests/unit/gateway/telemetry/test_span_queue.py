"""The queue of spans: bounded, counted, and gone with its process."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from tests.support.conditions import wait_until

from realtime_gateway.telemetry import recorder
from realtime_gateway.telemetry.exporters import QueueBounds
from realtime_gateway.telemetry.span_queue import THREAD, SpanQueue


class Held(SpanExporter):
    """A collector that answers as it is told, and not before."""

    def __init__(self, result: SpanExportResult | Exception = SpanExportResult.SUCCESS) -> None:
        self.result = result
        self.answers = threading.Event()
        self.begun = threading.Event()
        self.batches: list[list[str]] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.begun.set()
        self.answers.wait(30)
        if isinstance(self.result, Exception):
            raise self.result
        self.batches.append([span.name for span in spans])
        return self.result

    def names(self) -> list[str]:
        return [name for batch in self.batches for name in batch]

    def shutdown(self) -> None:
        self.answers.set()


def dropped() -> dict[str, float]:
    return dict(recorder.spans_dropped.values)


def spans(queue: SpanQueue, *names: str) -> None:
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(queue)
    for name in names:
        provider.get_tracer("test").start_span(name).end()


def test_what_comes_behind_a_full_batch_waits_for_others() -> None:
    exporter = Held()
    queue = SpanQueue(exporter, QueueBounds(most=100, batch=4, delay_seconds=3600))
    spans(queue, *"abcd")
    assert exporter.begun.wait(10)
    spans(queue, *"efghij")  # while the collector takes its time
    exporter.answers.set()
    wait_until(lambda: len(exporter.names()) >= 8)
    spans(queue, *"kl")
    wait_until(lambda: len(exporter.names()) >= 12)
    assert exporter.batches == [[*"abcd"], [*"efgh"], [*"ijkl"]]
    queue.shutdown()


def test_what_has_come_behind_a_full_batch_leaves_before_the_end() -> None:
    exporter = Held()
    exporter.shutdown = lambda: None  # type: ignore[method-assign]
    queue = SpanQueue(exporter, QueueBounds(most=100, batch=4, delay_seconds=3600))
    spans(queue, *"abcd")
    assert exporter.begun.wait(10)
    spans(queue, *"ef")
    ending = threading.Thread(target=queue.shutdown)
    ending.start()
    wait_until(lambda: queue._is_ended)
    exporter.answers.set()
    ending.join(10)
    assert exporter.batches == [[*"abcd"], [*"ef"]]


def test_spans_leave_in_batches_in_their_order() -> None:
    exporter = Held()
    exporter.answers.set()
    queue = SpanQueue(exporter, QueueBounds(most=10, batch=2, delay_seconds=0.01))
    spans(queue, *"abcde")
    wait_until(lambda: exporter.names() == list("abcde"))
    assert max(map(len, exporter.batches)) <= 2
    queue.shutdown()


def test_what_does_not_fit_is_dropped_and_counted_while_the_collector_takes_its_time() -> None:
    exporter, before = Held(), dropped()
    queue = SpanQueue(exporter, QueueBounds(most=3, batch=1, delay_seconds=0.01))
    spans(queue, "taken")
    assert exporter.begun.wait(10)
    spans(queue, *"abcde")
    assert dropped()["queue_full"] == before["queue_full"] + 2
    exporter.answers.set()
    wait_until(lambda: exporter.names() == ["taken", *"abc"])
    spans(queue, "later")
    wait_until(lambda: exporter.batches[-1] == ["later"])
    assert dropped() == {**before, "queue_full": before["queue_full"] + 2}
    queue.shutdown()


@pytest.mark.parametrize("result", [SpanExportResult.FAILURE, RuntimeError("no collector")])
def test_a_batch_that_is_not_taken_is_counted_and_the_next_one_is_tried(result: SpanExportResult | Exception) -> None:
    exporter, before, failed = Held(result), dropped(), recorder.exports_failed.values["traces"]
    exporter.answers.set()
    queue = SpanQueue(exporter, QueueBounds(most=9, batch=3, delay_seconds=0.01))
    spans(queue, *"abc")
    wait_until(lambda: dropped()["refused"] == before["refused"] + 3)
    assert recorder.exports_failed.values["traces"] > failed
    exporter.result = SpanExportResult.SUCCESS
    spans(queue, "d")
    wait_until(lambda: exporter.batches[-1:] == [["d"]])
    queue.shutdown()


def test_the_last_spans_leave_before_the_end_and_none_is_taken_after_it() -> None:
    exporter = Held()
    exporter.answers.set()
    queue = SpanQueue(exporter, QueueBounds(most=9, batch=9, delay_seconds=3600))
    spans(queue, "last")
    queue.shutdown()
    assert exporter.batches == [["last"]]
    spans(queue, "too late")
    assert exporter.batches == [["last"]]
    assert THREAD not in [thread.name for thread in threading.enumerate()]


def test_an_end_does_not_wait_for_a_collector_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_gateway.telemetry.span_queue.LAST_SPANS_SECONDS", 0.05)
    exporter = Held()
    queue = SpanQueue(exporter, QueueBounds(most=9, batch=1, delay_seconds=3600))
    spans(queue, "a")
    assert exporter.begun.wait(10)
    queue.shutdown()  # the exporter's own shutdown lets it go
    wait_until(lambda: THREAD not in [thread.name for thread in threading.enumerate()])


def test_flushing_sends_what_waits_at_once() -> None:
    exporter = Held()
    exporter.answers.set()
    queue = SpanQueue(exporter, QueueBounds(most=9, batch=9, delay_seconds=3600))
    spans(queue, "a", "b")
    assert queue.force_flush()
    assert exporter.batches == [["a", "b"]]
    queue.shutdown()


IN_A_CHILD = """
import os, sys, threading, warnings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from realtime_gateway.telemetry.exporters import QueueBounds
from realtime_gateway.telemetry.span_queue import SpanQueue

warnings.simplefilter("ignore", DeprecationWarning)  # that threads are running is the point
begun, goes_on, sent = threading.Event(), threading.Event(), threading.Event()

class Exporter(SpanExporter):
    def __init__(self, process):
        self.process = process
    def export(self, spans):
        names = [span.name for span in spans]
        if "held" in names:
            begun.set()
            goes_on.wait(30)
        os.write(1, f"{self.process} {names}\\n".encode())
        if "last" in names:
            sent.set()
        return SpanExportResult.SUCCESS

queue = SpanQueue(Exporter("first"), QueueBounds(most=9, batch=1, delay_seconds=3600), MAKE)
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(queue)
span = lambda name: provider.get_tracer("test").start_span(name).end()
span("held")
assert begun.wait(30)
span("waits")
child = os.fork()
if not child:
    span("last")
    os._exit(0 if sent.wait(10) else 1)
assert os.waitpid(child, 0)[1] == 0, "the child exported nothing"
goes_on.set()
span("last")
assert sent.wait(10)
"""


@pytest.mark.parametrize(("make", "childs"), [("None", "first"), ("lambda: Exporter('another')", "another")])
def test_a_forked_child_sends_its_own_spans_and_none_of_its_parents(make: str, childs: str) -> None:
    script = IN_A_CHILD.replace("MAKE", make)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{childs} ['last']",
        "first ['held']",
        "first ['waits']",
        "first ['last']",
    ]
