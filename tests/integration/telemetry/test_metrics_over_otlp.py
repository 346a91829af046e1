"""The metrics of a real gateway, as a collector gets them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from tests.support.conditions import wait_until
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess
from tests.support.trace_receiver import TraceReceiver
from websockets.asyncio.client import connect

OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
APPLICATIONS = Path(__file__).parent / "applications"


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisProcess]:
    with RedisProcess() as server:
        yield server


def serve(redis_server: RedisProcess, receiver: TraceReceiver, **more: str) -> ServeProcess:
    environment = {
        "REDIS_URL": redis_server.url,
        "REALTIME_GATEWAY_PROCESS": "a",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_METRIC_EXPORT_INTERVAL": "100",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_TRACES_SAMPLER": "always_on",
        **more,
    }
    return ServeProcess(
        "traced:application",
        "--drain-accept-seconds=0",
        "--drain-seconds=1",
        directory=APPLICATIONS,
        environment=environment,
    )


def metrics(receiver: TraceReceiver) -> dict[str, Any]:
    """The newest of each metric, by name."""
    found: dict[str, Any] = {}
    for path, body in list(receiver.bodies):
        if path == "/v1/metrics":
            request = ExportMetricsServiceRequest.FromString(body)
            [of_process] = request.resource_metrics
            names = {one.key: one.value.string_value for one in of_process.resource.attributes}
            assert names["service.instance.id"] == "a"
            found |= {metric.name: metric for metric in of_process.scope_metrics[0].metrics}
    return found


def samples(receiver: TraceReceiver, name: str) -> int:
    found = metrics(receiver).get(f"realtime_gateway.{name}")
    return 0 if found is None else sum(point.count for point in found.histogram.data_points)


async def say(gateway: ServeProcess, text: str) -> None:
    async with connect(gateway.websocket_url + "/chat/lobby/", proxy=None) as client:
        await client.send(text)
        assert text in str(await client.recv())


def open_metrics(gateway: ServeProcess) -> str:
    """The metrics page, as Prometheus asks for it."""
    request = Request(f"http://127.0.0.1:{gateway.admin_port}/metrics", headers={"Accept": OPEN_METRICS})
    with urlopen(request, timeout=10) as answer:
        page: str = answer.read().decode()
        return page


async def test_what_a_message_took_comes_to_the_collector_with_its_trace(redis_server: RedisProcess) -> None:
    with TraceReceiver() as receiver, serve(redis_server, receiver) as gateway:
        await say(gateway, "hello")
        wait_until(lambda: samples(receiver, "layer_publish") and samples(receiver, "delivery"), 20)
        [trace] = {span.trace_id for span in receiver.wait_for(publish=1) if span.name.startswith("publish")}
        points = metrics(receiver)["realtime_gateway.layer_publish"].histogram.data_points
        assert {one.trace_id.hex() for point in points for one in point.exemplars} == {trace}
        assert f'trace_id="{trace}"' in await asyncio.to_thread(open_metrics, gateway)


async def test_the_last_numbers_leave_before_the_process_ends(redis_server: RedisProcess) -> None:
    with TraceReceiver() as receiver:
        with serve(redis_server, receiver, OTEL_METRIC_EXPORT_INTERVAL="3600000") as gateway:
            await say(gateway, "hello")
            assert not metrics(receiver)
            gateway.terminate()
            assert gateway.wait() == 0
        assert metrics(receiver)["realtime_gateway.messages_received"].sum.data_points[0].as_int == 1


async def test_a_collector_that_refuses_changes_nothing_for_messages(redis_server: RedisProcess) -> None:
    with TraceReceiver(status=400) as receiver, serve(redis_server, receiver) as gateway:
        failed = 'realtime_gateway_exports_failed_total{signal="metrics"}'
        gateway.wait_until(lambda: gateway.metric(failed) >= 3, "refused three times", 20)
        await say(gateway, "hello")
