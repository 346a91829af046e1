"""The SDK's queue of spans, with every span counted that no collector gets: the SDK only logs a line.

It is imported where spans are sent, since it needs the SDK.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from realtime_operator import recording

log = logging.getLogger(__name__)


class Waiting:
    """How many spans wait, or are being sent; they are bounded here, so that the SDK's own queue is never full."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._spans = 0
        self._lock = threading.Lock()

    def has_taken(self) -> bool:
        """Count one more, unless there are as many as may be."""
        with self._lock:
            if self._spans >= self._most:
                return False
            self._spans += 1
            return True

    def left(self, spans: int) -> None:
        """Count so many less."""
        with self._lock:
            self._spans -= spans


class CountingExporter(SpanExporter):
    """Counts what a collector does not take, and says when it begins and ceases to take it."""

    def __init__(self, exporter: SpanExporter, waiting: Waiting) -> None:
        self._exporter = exporter
        self._waiting = waiting
        self._works = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; whatever comes of it, it raises nothing."""
        try:
            result = self._exporter.export(spans)
        except Exception:
            log.exception("Traces could not be sent.")
            result = SpanExportResult.FAILURE
        self._waiting.left(len(spans))
        works = result is SpanExportResult.SUCCESS
        if not works:
            recording.export_failed()
            recording.spans_dropped(recording.REFUSED, len(spans))
        if works is not self._works:
            self._works = works
            if works:
                log.info("The collector takes traces again.")
            else:
                log.warning("The collector does not take traces.")
        return result

    def shutdown(self) -> None:
        """End what is being sent."""
        self._exporter.shutdown()


class CountingProcessor(BatchSpanProcessor):
    """Drops and counts a span that ends while there are as many as may be."""

    def __init__(self, exporter: SpanExporter, most: int) -> None:
        self._spans_waiting = Waiting(most)
        super().__init__(CountingExporter(exporter, self._spans_waiting), max_queue_size=most)

    def on_end(self, span: ReadableSpan) -> None:
        """Let a span wait, or drop it."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._spans_waiting.has_taken():
            super().on_end(span)
        else:
            recording.spans_dropped(recording.QUEUE_FULL)
