"""Spans on their way to a collector: a bounded queue that any thread adds to, and one thread that empties it.

A span that ends while the queue is full is dropped, and so is a batch that the collector does not take; both are
counted (``spans_dropped``). To add one is a comparison and an append, whatever the collector does. The SDK
has such a queue, and says of what it drops only a line in the log.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from realtime_gateway.telemetry import recorder
from realtime_gateway.telemetry.exporters import LAST_SPANS_SECONDS, QueueBounds

logger = logging.getLogger("realtime_gateway.telemetry")

THREAD = "realtime-gateway-spans"


class SpanQueue(SpanProcessor):
    """Hands spans to an exporter from a thread of its own.

    Args:
        exporter: may block for as long as it likes.
        bounds: what waits at most.
        make_exporter: makes another for a forked child, whose connections are the parent's; by default it is kept.
    """

    def __init__(
        self, exporter: SpanExporter, bounds: QueueBounds, make_exporter: Callable[[], SpanExporter] | None = None
    ) -> None:
        self._exporter = exporter
        self._bounds = bounds
        self._make_exporter = make_exporter
        self._is_forked = False
        self._is_ended = False
        self._start()
        _QUEUES.add(self)

    def _start(self) -> None:
        self._waiting: deque[Any] = deque()
        self._wake = threading.Event()
        self._exporting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        """Let a span of the SDK wait, if it is sampled, or drop it."""
        context = span.context
        if context is not None and context.trace_flags.sampled:
            self.add(span)

    def add(self, span: Any) -> None:
        """Let a span that its exporter takes wait, or drop it."""
        if self._is_ended:
            return
        # Threads that end spans at the very same time may each add one above the bound.
        if len(self._waiting) >= self._bounds.most:
            recorder.spans_dropped.add(1, "queue_full")
            return
        self._waiting.append(span)
        if len(self._waiting) >= self._bounds.batch:
            self._wake.set()

    def shutdown(self) -> None:
        """Send what waits, for LAST_SPANS_SECONDS at most, and end."""
        self._is_ended = True
        self._wake.set()
        self._thread.join(LAST_SPANS_SECONDS)
        # It ends an export's tries, and with that the thread.
        self._waiting.clear()
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits now, from the caller's thread; say whether that was begun within the time."""
        if not self._exporting.acquire(timeout=timeout_millis / 1000):
            return False
        try:
            self._export_all()
        finally:
            self._exporting.release()
        return True

    def after_fork_in_child(self) -> None:
        """The thread is the parent's, which sends what waited; it may have held a lock."""
        if not self._is_ended:
            self._is_forked = True
            self._start()

    def _run(self) -> None:
        while not self._is_ended:
            is_full = self._wake.wait(self._bounds.delay_seconds)
            self._wake.clear()
            with self._exporting:
                # What has come behind a full batch waits for others as that did: a call over HTTP costs 2 ms.
                self._export_all(self._bounds.batch if is_full else 1)
        with self._exporting:
            self._export_all()

    def _export_all(self, at_least: int = 1) -> None:
        # What the exporter does is nobody's trace.
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            if self._is_forked and self._make_exporter is not None:
                self._exporter, self._is_forked = self._make_exporter(), False
            while len(self._waiting) >= at_least:
                count = min(self._bounds.batch, len(self._waiting))
                self._export([self._waiting.popleft() for _ in range(count)])
        finally:
            detach(token)

    def _export(self, batch: list[Any]) -> None:
        try:
            result = self._exporter.export(batch)
        except Exception:
            logger.exception("Spans were not sent")
            result = SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            recorder.exports_failed.add(1, "traces")
            recorder.spans_dropped.add(len(batch), "refused")


_QUEUES: weakref.WeakSet[SpanQueue] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for queue in list(_QUEUES):
        queue.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
