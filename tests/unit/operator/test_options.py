"""The operator's own settings."""

from __future__ import annotations

import pytest

from realtime_gateway.errors import ConfigurationError
from realtime_operator.options import read_options

GIVEN = {"REALTIME_GATEWAY_OPERATOR_NAMESPACE": "rtg", "REALTIME_GATEWAY_OPERATOR_IMAGE": "gateway:1"}


def test_without_a_list_of_namespaces_all_are_served() -> None:
    options = read_options(GIVEN)
    assert options.watched == ()
    assert options.identity


def test_namespaces_are_listed_with_commas() -> None:
    assert read_options({**GIVEN, "REALTIME_GATEWAY_OPERATOR_WATCH": "a, b ,"}).watched == ("a", "b")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(
        ConfigurationError, match="REALTIME_GATEWAY_OPERATOR_NAMESPACE and REALTIME_GATEWAY_OPERATOR_IMAGE"
    ):
        read_options({})


def test_metrics_are_served_where_a_port_is_given() -> None:
    assert read_options(GIVEN).metrics_port == 0
    assert read_options({**GIVEN, "REALTIME_GATEWAY_OPERATOR_METRICS_PORT": "9000"}).metrics_port == 9000


@pytest.mark.parametrize("port", ["http", "-1", "65536", "\u0663"])
def test_a_port_that_is_none_stops_the_start(port: str) -> None:
    with pytest.raises(ConfigurationError, match="REALTIME_GATEWAY_OPERATOR_METRICS_PORT is"):
        read_options({**GIVEN, "REALTIME_GATEWAY_OPERATOR_METRICS_PORT": port})


def test_traces_are_sent_where_somewhere_is_named() -> None:
    assert not read_options(GIVEN).exports_traces
    assert read_options({**GIVEN, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}).exports_traces
    assert read_options({**GIVEN, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/x"}).exports_traces


def test_a_protocol_that_is_not_spoken_stops_the_start() -> None:
    given = {**GIVEN, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(ConfigurationError, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'"):
        read_options(given)
