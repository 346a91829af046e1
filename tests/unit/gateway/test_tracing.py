"""Where traces go: the environment over the resource."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError

from realtime_gateway.environment import read_environment
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.resource import parse_resource
from realtime_gateway.resource.spec import RealtimeGateway
from realtime_gateway.telemetry import spans
from realtime_gateway.telemetry.exporters import QueueBounds
from realtime_gateway.telemetry.sdk import TraceExport
from realtime_gateway.tracing import metrics_export, trace_command, trace_export

COLLECTOR = "http://collector:4318"


def resource(**telemetry: Any) -> RealtimeGateway:
    return parse_resource(
        {
            "apiVersion": "realtime-gateway.io/v1alpha1",
            "kind": "RealtimeGateway",
            "metadata": {"name": "chat", "namespace": "town"},
            "spec": {"application": "chat.asgi:application", "telemetry": telemetry},
        }
    )


def export(given: RealtimeGateway | None = None, **variables: str) -> TraceExport:
    return trace_export(read_environment(variables), given)


def test_by_default_no_trace_goes_anywhere() -> None:
    assert export().endpoint is None
    assert export(resource()).endpoint is None


def test_variables_that_are_meant_for_others_stop_nothing_while_there_is_nowhere_to_send_to() -> None:
    assert export(resource(), OTEL_EXPORTER_OTLP_PROTOCOL="json", OTEL_TRACES_SAMPLER="jaeger_remote").endpoint is None


def test_the_resource_says_where_and_how_many() -> None:
    made = export(resource(otlpEndpoint=COLLECTOR, samplingRatio=0.25), REALTIME_GATEWAY_PROCESS="chat-0")
    assert (made.endpoint, made.ratio) == (f"{COLLECTOR}/v1/traces", 0.25)
    assert made.attributes["service.name"] == "chat"
    assert made.attributes["service.namespace"] == "town"
    assert made.attributes["service.instance.id"] == "chat-0"


def test_the_resource_says_what_spans_show_and_how_many_are_kept() -> None:
    made = export(resource(destinationNames="raw", contextInMessages=True, recentSpans=50))
    assert (made.endpoint, made.destinations.names, made.reads_messages, made.recent_spans) == (None, "raw", True, 50)
    assert export(resource(recentSpans=50), REALTIME_GATEWAY_RECENT_SPANS="7").recent_spans == 7
    assert export(resource(recentSpans=50), OTEL_SDK_DISABLED="true").recent_spans == 0
    with pytest.raises(ConfigurationError, match="REALTIME_GATEWAY_RECENT_SPANS"):
        export(REALTIME_GATEWAY_RECENT_SPANS="many")


def test_the_environment_wins_over_the_resource() -> None:
    wanted = resource(otlpEndpoint=COLLECTOR, samplingRatio=0.25)
    assert export(wanted, OTEL_EXPORTER_OTLP_ENDPOINT="http://other").endpoint == "http://other/v1/traces"
    assert export(wanted, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://other/x").endpoint == "http://other/x"
    assert export(wanted, OTEL_SDK_DISABLED="true").endpoint is None
    assert export(wanted, OTEL_TRACES_EXPORTER="none").endpoint is None


@pytest.mark.parametrize(
    ("sampler", "argument", "ratio"),
    [
        ("always_on", "", 1.0),
        ("parentbased_always_off", "", 0.0),
        ("traceidratio", "0.5", 0.5),
        ("parentbased_traceidratio", "", 1.0),
    ],
)
def test_a_sampler_of_the_environment_decides_about_messages(sampler: str, argument: str, ratio: float) -> None:
    made = export(resource(otlpEndpoint=COLLECTOR), OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument)
    assert made.ratio == ratio
    assert made.sampler_is_given


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "http/protobuf, grpc"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "grpc"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "above 0"),
        ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "many"}, "spans of one export"),
        ({"OTEL_BSP_SCHEDULE_DELAY": "-1"}, "milliseconds"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "otlp"),
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "traceidratio"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "many"}, "0 to 1"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.5"}, "0 to 1"),
    ],
)
def test_a_variable_that_cannot_be_followed_stops_the_start(variables: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        export(resource(otlpEndpoint=COLLECTOR), **variables)
    assert next(iter(variables)).startswith("OTEL_")
    assert list(variables)[-1] in caught.value.message
    assert named in caught.value.remedy


def test_no_address_of_a_collector_is_shown_by_the_environments_repr() -> None:
    shown = repr(read_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:hunter2@collector"}))
    assert "hunter2" not in shown


def test_a_command_of_manage_py_says_what_cannot_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", COLLECTOR)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(CommandError, match=r"OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json'.*grpc"), trace_command():
        pytest.fail("it started")


def test_a_command_of_manage_py_traces_nothing_unless_told_to() -> None:
    with trace_command():
        assert not spans.is_wired()


def test_over_grpc_an_address_has_no_path() -> None:
    wanted = resource(otlpEndpoint="http://collector:4317", otlpProtocol="grpc")
    traces, metrics = export(wanted), metrics_export(read_environment({}), wanted)
    assert (
        (traces.endpoint, traces.protocol) == (metrics.endpoint, metrics.protocol) == ("http://collector:4317", "grpc")
    )
    over_http = {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}
    assert export(wanted, **over_http).endpoint == "http://collector:4317/v1/traces"
    assert export(resource(otlpEndpoint=COLLECTOR), OTEL_EXPORTER_OTLP_PROTOCOL="grpc").endpoint == COLLECTOR


def test_the_environment_says_how_many_spans_wait() -> None:
    wanted = resource(otlpEndpoint=COLLECTOR)
    assert export(wanted).queue == QueueBounds(most=2048, batch=512, delay_seconds=5.0)
    given = {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    assert export(wanted, **given).queue == QueueBounds(most=100, batch=100, delay_seconds=0.05)
    assert export(wanted, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="7").queue.batch == 7


def test_metrics_go_where_traces_go() -> None:
    wanted = resource(otlpEndpoint=COLLECTOR)
    made = metrics_export(read_environment({"REALTIME_GATEWAY_PROCESS": "chat-0"}), wanted)
    assert (made.endpoint, made.interval_seconds) == (f"{COLLECTOR}/v1/metrics", 60.0)
    assert made.attributes["service.name"] == "chat"
    assert made.attributes["service.instance.id"] == "chat-0"
    assert metrics_export(read_environment({}), resource()).endpoint is None
    wanted = resource(otlpEndpoint=f"{COLLECTOR}/v1/traces")
    assert metrics_export(read_environment({}), wanted).endpoint == f"{COLLECTOR}/v1/metrics"
    assert export(wanted).endpoint == f"{COLLECTOR}/v1/traces"


@pytest.mark.parametrize(
    ("variables", "endpoint", "seconds"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://other/"}, "http://other/v1/metrics", 60.0),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://other/x"}, "http://other/x", 60.0),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "500"}, f"{COLLECTOR}/v1/metrics", 0.5),
        ({"OTEL_METRICS_EXPORTER": "none"}, None, 60.0),
        ({"OTEL_SDK_DISABLED": "true"}, None, 60.0),
    ],
)
def test_the_environment_says_whether_and_where_metrics_go(
    variables: dict[str, str], endpoint: str | None, seconds: float
) -> None:
    made = metrics_export(read_environment(variables), resource(otlpEndpoint=COLLECTOR))
    assert (made.endpoint, made.interval_seconds) == (endpoint, seconds)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "often"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
    ],
)
def test_a_variable_of_metrics_that_cannot_be_followed_stops_the_start(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        metrics_export(read_environment({variable: value}), resource(otlpEndpoint=COLLECTOR))
