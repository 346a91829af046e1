"""Where spans go. What the SDK does with them is seen in tests/integration/telemetry."""

from __future__ import annotations

import subprocess
import sys

import pytest

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.telemetry import sdk, spans


def test_without_an_endpoint_nothing_is_wired() -> None:
    end = sdk.wire(sdk.TraceExport(endpoint=None, ratio=1.0))
    assert not spans.is_wired()
    end()


def test_spans_that_are_kept_alone_are_nobodys_but_ours() -> None:
    printed = in_a_process("""
import json
from opentelemetry import trace
from realtime_gateway.telemetry import layer_spans, recent, sdk, spans
end = sdk.wire(sdk.TraceExport(endpoint=None, ratio=0.0, recent_spans=3))
for number in range(30):
    with layer_spans.publish("group", "chat_lobby", 1) or trace.use_span(trace.INVALID_SPAN):
        pass
found = json.loads(recent.page("a", None))
print(len(found["spans"]), found["spans"][0]["name"], found["spans"][0]["kind"], spans.is_wired())
print(isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider))
end()
print(spans.is_wired())
""")
    assert printed == "3 publish chat_{name} PRODUCER True\nTrue\nFalse\n"


def test_a_number_that_json_does_not_know_is_told_as_text() -> None:
    printed = in_a_process("""
import math
from realtime_gateway.telemetry import recent, sdk, spans
end = sdk.wire(sdk.TraceExport(endpoint=None, ratio=0.0, recent_spans=3))
attributes = {"a": math.nan, "b": [1.5, -math.inf], "c": 2.5, "d": "text", "e": ["x"]}
spans.WIRED.tracing.tracer.start_span("a", attributes=attributes).end()
print(recent.page("a", None).decode().partition('"attributes": ')[2].partition(', "events"')[0])
end()
""")
    assert printed == '{"a": "nan", "b": [1.5, "-inf"], "c": 2.5, "d": "text", "e": ["x"]}\n'


def test_an_endpoint_without_the_extra_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(ConfigurationError) as caught:
        sdk.wire(sdk.TraceExport(endpoint="http://user:secret@collector", ratio=1.0))
    assert "telemetry.otlpEndpoint" in caught.value.message
    assert "secret" not in caught.value.message
    assert "realtime-gateway[otlp]" in caught.value.remedy
    assert not spans.is_wired()


def in_a_process(code: str) -> str:
    """Run code in a process of its own, since a tracer provider is set once per process; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_projects_own_provider_is_kept_and_used() -> None:
    printed = in_a_process("""
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from realtime_gateway.environment import read_environment
from realtime_gateway.telemetry import layer_spans
from realtime_gateway.tracing import start_tracing
own, exporter = TracerProvider(), InMemorySpanExporter()
own.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(own)
start_tracing(read_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}), None)
with layer_spans.publish("group", "chat_lobby", 1):
    pass
print(trace.get_tracer_provider() is own, [span.name for span in exporter.get_finished_spans()])
""")
    assert printed == "True ['publish chat_{name}']\n"


def test_the_projects_own_spans_follow_the_ratio_and_ours_are_decided_before() -> None:
    printed = in_a_process("""
from opentelemetry import trace
from realtime_gateway.telemetry import layer_spans, sdk, spans
end = sdk.wire(sdk.TraceExport(endpoint="http://127.0.0.1:9", ratio=0.0, attributes={"service.name": "chat"}))
print(trace.get_tracer("project").start_span("its own").is_recording(), layer_spans.publish("group", "chat_lobby", 1))
print(trace.get_tracer_provider().resource.attributes["service.name"])
end()
print(spans.is_wired())
""")
    assert printed == "False None\nchat\nFalse\n"


@pytest.mark.parametrize("kept", [2, 0])
def test_spans_are_kept_beside_a_projects_own_provider(kept: int) -> None:
    printed = in_a_process(f"""
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from realtime_gateway.environment import read_environment
from realtime_gateway.telemetry import layer_spans, recent
from realtime_gateway.tracing import start_tracing
trace.set_tracer_provider(TracerProvider())
start_tracing(read_environment({{"REALTIME_GATEWAY_RECENT_SPANS": "{kept}"}}), None)
for name in ("chat_lobby", "user_7", "room_1"):
    with layer_spans.publish("group", name, 1):
        pass
page = json.loads(recent.page("a", None))
print(page["keeps"], [span["name"] for span in page["spans"]])
""")
    names = ["publish user_{name}", "publish room_{name}"] if kept else []
    assert printed == f"{bool(kept)} {names}\n"


def test_a_provider_that_takes_no_processor_is_named_and_used() -> None:
    printed = in_a_process("""
import logging, sys
from opentelemetry import trace
from realtime_gateway.environment import read_environment
from realtime_gateway.telemetry import spans
from realtime_gateway.tracing import start_tracing
logging.basicConfig(stream=sys.stdout, format="%(message)s")
trace.set_tracer_provider(trace.NoOpTracerProvider())
start_tracing(read_environment({"REALTIME_GATEWAY_RECENT_SPANS": "5"}), None)
print(spans.is_wired())
""")
    assert "NoOpTracerProvider, takes no span processor\nTrue\n" in printed
