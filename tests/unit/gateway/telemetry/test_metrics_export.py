from __future__ import annotations

import threading

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags
from tests.support.conditions import wait_until
from tests.support.free_port import free_port
from tests.support.trace_receiver import TraceReceiver

from realtime_gateway.telemetry import metrics_export, propagation, recorder
from realtime_gateway.telemetry.metrics_export import MetricsExport


@pytest.fixture
def families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declarations of a test end with it."""
    monkeypatch.setattr(recorder, "FAMILIES", {})


def encoded() -> dict[str, Metric]:
    """What a collector gets, by name."""
    scope = ScopeMetrics(InstrumentationScope("x"), list(metrics_export.snapshot(1, 2)), "")
    request = encode_metrics(MetricsData([ResourceMetrics(Resource.get_empty(), [scope], "")]))
    return {metric.name: metric for metric in request.resource_metrics[0].scope_metrics[0].metrics}


def test_what_a_counter_has_counted_last_leads_to_its_trace(families: None) -> None:
    counter = recorder.counter("drops", "Dropped.", "reason")
    counter.add(3, "full")
    counter.add(2, "old")
    counter.exemplify(propagation.pack(SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(1))), "full")
    told = encoded()["realtime_gateway.drops"].sum.data_points
    points = {point.attributes[0].value.string_value: point for point in told}
    [exemplar] = points["full"].exemplars
    assert (int.from_bytes(exemplar.trace_id, "big"), int.from_bytes(exemplar.span_id, "big")) == (7, 8)
    assert not points["old"].exemplars


def test_a_counter_is_a_sum_since_the_start(families: None) -> None:
    recorder.counter("drops", "Dropped.", "reason").add(3, "full")
    metric = encoded()["realtime_gateway.drops"]
    [point] = metric.sum.data_points
    assert metric.sum.is_monotonic
    assert (point.as_double or point.as_int, point.start_time_unix_nano, point.time_unix_nano) == (3, 1, 2)
    assert [(one.key, one.value.string_value) for one in point.attributes] == [("reason", "full")]


def test_a_unit_stands_apart_from_the_name(families: None) -> None:
    recorder.gauge("waiting_bytes", "Waiting.").set(5)
    recorder.gauge("epoch", "Epoch.").set(7)
    found = encoded()
    assert found["realtime_gateway.waiting"].unit == "By"
    assert found["realtime_gateway.epoch"].unit == "1"


def test_a_histogram_has_its_buckets_and_the_trace_of_a_sample(families: None) -> None:
    waits = recorder.histogram("wait_seconds", "How long.", "kind", ("group",))
    waits.observe(0.002, "group", propagation.pack(SpanContext(0xABC, 0xDEF, False, TraceFlags(1))))
    waits.observe(99.0, "group")
    metric = encoded()["realtime_gateway.wait"]
    [point] = metric.histogram.data_points
    assert metric.unit == "s"
    assert (point.count, point.sum, sum(point.bucket_counts)) == (2, pytest.approx(99.002), 2)
    assert list(point.explicit_bounds) == list(waits.bounds)
    assert not point.HasField("min")
    [exemplar] = point.exemplars
    assert exemplar.trace_id.hex() == f"{0xABC:032x}"


def test_names_that_lose_their_unit_stay_apart() -> None:
    names = [metric.name for metric in metrics_export.snapshot(1, 2)]
    kinds = {(metric.name, metric.unit) for metric in metrics_export.snapshot(1, 2)}
    assert len(kinds) == len(names)


def test_a_collector_that_refuses_is_counted_and_nothing_else_happens() -> None:
    with TraceReceiver(status=400) as receiver:
        before = recorder.exports_failed.values["metrics"]
        sending = metrics_export.start(MetricsExport(f"{receiver.url}/v1/metrics", 0.02))
        assert sending is not None
        wait_until(lambda: recorder.exports_failed.values["metrics"] >= before + 3)
        sending.stop()
        sending.wait()
    assert "realtime-gateway-metrics" not in [thread.name for thread in threading.enumerate()]


def test_a_collector_that_is_not_there_keeps_one_export_and_an_end_within_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics_export, "LAST_SECONDS", 0.1)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    sending = metrics_export.start(MetricsExport(f"http://127.0.0.1:{free_port()}/v1/metrics", 0.01))
    assert sending is not None
    assert [thread.name for thread in threading.enumerate()].count("realtime-gateway-metrics") == 1
    sending.stop()
    sending.wait()
    wait_until(lambda: "realtime-gateway-metrics" not in [thread.name for thread in threading.enumerate()], 30)


def test_without_an_endpoint_nothing_runs() -> None:
    assert metrics_export.start(MetricsExport(None)) is None
    assert "realtime-gateway-metrics" not in [thread.name for thread in threading.enumerate()]


def test_numbers_that_cannot_be_read_are_counted_and_the_next_ones_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    read, failed_at = recorder.read, []

    def breaking() -> object:
        failed_at.append(recorder.exports_failed.values["metrics"])
        if len(failed_at) == 1:
            raise RuntimeError("one family cannot be read")
        return read()

    monkeypatch.setattr(recorder, "read", breaking)
    with TraceReceiver(status=400) as receiver:
        sending = metrics_export.start(MetricsExport(f"{receiver.url}/v1/metrics", 0.02))
        assert sending is not None
        wait_until(lambda: len(failed_at) >= 3)
        sending.stop()
        sending.wait()
    assert failed_at[1] == failed_at[0] + 1
