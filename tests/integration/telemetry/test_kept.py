"""Errors and slow messages that no sampler chose, found from the metrics that count them."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar
from tests.support.conditions import wait_until
from tests.support.pages import get
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess
from tests.support.tcp_proxy import TcpProxy
from tests.support.trace_receiver import ReceivedSpan, TraceReceiver
from tests.support.traced_processes import Serve, client, say

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SLOW_SECONDS = 1.0


def exemplars(process: ServeProcess, name: str) -> list[Exemplar]:
    """Those of one metric, without the project's prefix."""
    answer = get(f"http://127.0.0.1:{process.admin_port}/metrics", accept=OPENMETRICS)
    assert answer.status == 200
    return [
        sample.exemplar
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == f"realtime_gateway_{name}" and sample.exemplar
    ]


def leads_to(exemplar: Exemplar, span: ReceivedSpan) -> bool:
    return dict(exemplar.labels) == {"trace_id": span.trace_id, "span_id": span.span_id}


async def test_a_handler_that_fails_is_kept_though_its_message_was_not_traced(
    serve: Serve, receiver: TraceReceiver
) -> None:
    a = serve("a", endpoint=receiver.url, ratio=0.0)
    async with client(a, "/chat/lobby/") as alice, client(a, "/chat/lobby/") as bob:
        await say(alice, "hello", alice, bob)
        await bob.send("fail")
        await bob.wait_closed()
        (span,) = receiver.wait_for(application=1)
    assert span.name == "application failed"
    assert span.failed
    assert span.attributes == {"realtime_gateway.kept": "failed", "error.type": "ValueError"}
    assert "what the client said" not in repr(span)
    (exemplar,) = exemplars(a, "connections_closed_total")
    assert leads_to(exemplar, span)


async def test_a_slow_message_is_kept_though_it_was_not_traced(
    serve: Serve, receiver: TraceReceiver, redis_server: RedisProcess
) -> None:
    with TcpProxy(redis_server.address) as proxy:
        a = serve("a", endpoint=receiver.url, ratio=0.0, REDIS_URL=proxy.url)
        b = serve("b", endpoint=receiver.url, ratio=0.0)
        async with client(a, "/chat/slow/") as alice, client(b, "/chat/slow/") as bob:
            await say(alice, "at once", alice, bob)
            assert exemplars(a, "layer_publish_seconds_bucket") == []
            proxy.cut()
            await alice.send("late")
            wait_until(lambda: a.metric("realtime_gateway_layer_oldest_unsent_seconds") > SLOW_SECONDS + 0.5, 30)
            proxy.restore()
            assert "late" in str(await bob.recv())
            spans = receiver.wait_for(slow=3)
    published = next(span for span in spans if span.name == "slow publish")
    delivered = next(
        span for span in spans if span.name == "slow delivery" and span.process["service.instance.id"] == "b"
    )
    for span in (published, delivered):
        assert span.end_ns - span.start_ns > SLOW_SECONDS * 1e9
        assert span.attributes["realtime_gateway.kept"] == "slow"
    assert any(leads_to(one, published) for one in exemplars(a, "layer_publish_seconds_bucket"))
    assert any(leads_to(one, delivered) for one in exemplars(b, "delivery_seconds_bucket"))
    assert {span.name for span in spans} == {"slow publish", "slow delivery"}


async def test_a_send_that_fails_is_counted_and_kept_though_it_was_not_traced(
    serve: Serve, receiver: TraceReceiver, redis_server: RedisProcess
) -> None:
    a = serve("a", endpoint=receiver.url, ratio=0.0)
    async with client(a, "/chat/lobby/") as alice:
        await say(alice, "hello", alice)
        refused = 'realtime_gateway_layer_refused_total{reason="refused"}'
        assert a.metric(refused) == 0
        with redis_server.client as redis:
            redis.config_set("maxmemory", "1")
            try:
                await alice.send("no memory")
                await alice.wait_closed()
                spans = receiver.wait_for(publish=1, application=1)
            finally:
                redis.config_set("maxmemory", "0")
    (span,) = [span for span in spans if span.name == "publish failed"]
    assert span.failed
    assert span.attributes == {"realtime_gateway.kept": "failed", "error.type": "ShardRefused"}
    assert a.metric(refused) == 1
    assert any(leads_to(one, span) for one in exemplars(a, "layer_refused_total"))
