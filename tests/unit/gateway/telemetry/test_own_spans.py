"""Our own spans go to who takes them, and those that the SDK had to make go there as well."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from realtime_gateway.telemetry import recent
from realtime_gateway.telemetry.keep_recent import KeepRecent
from realtime_gateway.telemetry.own_spans import OwnSpans
from realtime_gateway.telemetry.span_bytes import ReadableOnly


class Unknown(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def own() -> OwnSpans:
    return OwnSpans(partial(TracerProvider, shutdown_on_exit=False))


def test_plain_ones_and_those_of_the_sdk_go_to_the_same_places() -> None:
    made, ring = own(), recent.RecentSpans(5)
    made.go_to(KeepRecent(ring))
    made.tracer.start_span("plain", Context()).end()
    richer = made.tracer.start_span("richer", Context())
    richer.set_attribute("a", ["list"])
    richer.end()
    assert [(span.name, dict(span.attributes)) for span in ring.newest(5)] == [
        ("plain", {}),
        ("richer", {"a": ["list"]}),
    ]


def test_exporters_of_otlp_take_them_as_they_are_and_any_other_in_the_form_of_the_sdk() -> None:
    assert isinstance(own().taken_by(Unknown()), ReadableOnly)
    # In a process of its own: what it imports stays replaced, and other tests want it missing.
    printed = in_a_process("""
from functools import partial
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.sdk.trace import TracerProvider
from realtime_gateway.telemetry.own_spans import OwnSpans
own = OwnSpans(partial(TracerProvider, shutdown_on_exit=False))
for exporter in (OverHttp(endpoint="http://127.0.0.1:9/v1/traces"), OverGrpc(endpoint="http://127.0.0.1:9")):
    print(own.taken_by(exporter) is exporter, own.taken_by(exporter) is exporter)
    exporter.shutdown()
""")
    assert printed == "True True\n" * 2


def in_a_process(code: str) -> str:
    """Run code in a process of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
