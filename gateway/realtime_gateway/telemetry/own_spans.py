"""A provider that nobody has but us, and what its spans are made by and go to: plain ones where that can be.

OwnSpans.tracer ──▶ PlainTracer ──▶ PlainSpan ─────────────────────▶ SpanQueue.add, KeepRecent.add
                                      └─ left to the SDK ─▶ Span ──▶ SpanQueue.on_end, KeepRecent.on_end
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.trace import Tracer

from realtime_gateway.telemetry import span_bytes
from realtime_gateway.telemetry.plain_span import PlainSpan
from realtime_gateway.telemetry.plain_tracer import GivenIds, PlainTracer, may_be_plain
from realtime_gateway.telemetry.spans import SCOPE


class Taker(Protocol):
    """A span processor that takes plain spans as well."""

    def add(self, span: PlainSpan) -> None:
        """Take one that has ended."""
        ...


class OwnSpans:
    """Makes our spans.

    Args:
        make_provider: makes a provider with what the process says of itself.

    Attributes:
        tracer: of our spans, all of which are recorded, but for what a parent says.
    """

    def __init__(self, make_provider: Callable[..., TracerProvider]) -> None:
        ids = GivenIds()
        self._provider = make_provider(sampler=sampling.ParentBased(sampling.ALWAYS_ON), id_generator=ids)
        self._plain = PlainTracer(self._provider, ids, SCOPE) if may_be_plain() else None
        self.tracer: Tracer = self._plain or self._provider.get_tracer(SCOPE)

    def go_to(self, processor: SpanProcessor) -> None:
        """Let a processor, which is a Taker, have all that end from now on."""
        self._provider.add_span_processor(processor)
        if self._plain is not None:
            assert hasattr(processor, "add"), "ours take both"
            self._plain.ended += (processor.add,)

    def taken_by(self, exporter: SpanExporter) -> SpanExporter:
        """Return an exporter that takes these spans and those of the SDK."""
        if self._plain is None or span_bytes.teach(sys.modules[type(exporter).__module__], self._plain):
            return exporter
        return span_bytes.ReadableOnly(exporter)
