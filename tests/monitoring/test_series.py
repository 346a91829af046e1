"""However many groups and users there are, the metrics of a real gateway have as many series."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections.abc import Iterator

import jwt
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.monitoring.conftest import SITE
from tests.monitoring.load import ORIGIN
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess
from tests.support.trace_receiver import TraceReceiver, spans_of

# Each is in a group of its own.
USERS = 10_000
FIRST = 10
AT_ONCE = 16
KEY = secrets.token_hex(32)
PUBLISHED = 'realtime_gateway_layer_published_total{kind="group"}'
LIMITED = 'realtime_gateway_limits_met_total{limit="security.limits.perUser.messages"}'
# One in a hundred says more than a user may.
TOO_MUCH = 100
# More than the limit grows by meanwhile on a machine with other work.
BURST = 50


def gateway(shard: RedisProcess, collector: TraceReceiver) -> ServeProcess:
    return ServeProcess(
        "crowded:application",
        directory=SITE,
        environment={
            "SHARD": shard.url,
            "TOKEN_KEY": KEY,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_TRACES_SAMPLER_ARG": "1",
            "OTEL_BSP_MAX_QUEUE_SIZE": "100000",
        },
    )


def on_the_page(it: ServeProcess) -> set[str]:
    """The names and labels on the page, without their values."""
    return {line.rsplit(" ", 1)[0] for line in it.admin("metrics")[1].splitlines() if not line.startswith("#")}


def bodies(collector: TraceReceiver, signal: str) -> list[bytes]:
    return [body for path, body in list(collector.bodies) if path.endswith(signal)]


def exported(collector: TraceReceiver) -> set[tuple[str, str]]:
    """The names and attributes in the newest metrics that were sent over OTLP, without their values."""
    sent = ExportMetricsServiceRequest.FromString(bodies(collector, "metrics")[-1])
    return {
        (metric.name, str(point.attributes))
        for sender in sent.resource_metrics
        for scope in sender.scope_metrics
        for metric in scope.metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    }


@pytest.mark.timeout(900)
async def test_ten_thousand_users_and_groups_add_no_series() -> None:
    with RedisProcess() as shard, TraceReceiver() as collector, gateway(shard, collector) as it:
        numbers = iter(range(USERS))
        await visits(it, itertools.islice(numbers, FIRST))
        # The last to come: after the first heartbeat.
        await until(it, lambda: "layer_clock_error_seconds{" in it.admin("metrics")[1])
        seen = len(bodies(collector, "metrics"))
        await until(it, lambda: len(bodies(collector, "metrics")) > seen + 1)
        page, sent = on_the_page(it), exported(collector)
        await visits(it, numbers)
        assert it.metric(PUBLISHED) >= USERS
        assert it.metric(LIMITED) == USERS / TOO_MUCH
        assert on_the_page(it) == page
        seen = len(bodies(collector, "metrics"))
        await until(it, lambda: len(bodies(collector, "metrics")) > seen + 1)
        assert exported(collector) == sent
        names = {span.name for body in bodies(collector, "traces")[-20:] for span in spans_of(body)}
        assert {"websocket receive", "deliver group-{name}", "websocket send"} <= names
        assert len(names) < 20


async def until(it: ServeProcess, condition: object) -> None:
    await asyncio.to_thread(it.wait_until, condition, "looked at", 60)


async def visits(it: ServeProcess, numbers: Iterator[int]) -> None:
    """Come as each user once, a few at a time."""

    async def some() -> None:
        for number in numbers:
            await visit(it, number)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def visit(it: ServeProcess, number: int) -> None:
    token = jwt.encode({"sub": f"user-{number}"}, KEY, "HS256")
    headers = {"Origin": ORIGIN, "Authorization": f"Bearer {token}"}
    async with connect(it.websocket_url + "/own/", additional_headers=headers, proxy=None) as client:
        await client.send(json.dumps(number))
        assert json.loads(await client.recv()) == number
        if number % TOO_MUCH == 0:
            with pytest.raises(ConnectionClosed):
                await say_too_much(client)


async def say_too_much(client: ClientConnection) -> None:
    for _ in range(BURST):
        await client.send("[]")
    for _ in range(BURST):
        await client.recv()
