"""Real collectors, and collectors in trouble: what they do shows in counters, and in nothing that a client sees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from tests.support.collector_process import CollectorProcess
from tests.support.conditions import wait_until
from tests.support.otlp_receivers import Exports, Trouble, receiving
from tests.support.serve_process import ServeProcess
from tests.support.trace_receiver import ReceivedSpan, spans_of
from tests.support.traced_processes import Serve, client, say
from websockets.asyncio.client import ClientConnection

PROTOCOLS = ("http/protobuf", "grpc")
QUICK = {
    "OTEL_BSP_SCHEDULE_DELAY": "20",
    "OTEL_METRIC_EXPORT_INTERVAL": "100",
    # Less than an exporter's first pause before it tries again.
    "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
}
QUEUE, BATCH = 64, 16
SMALL_QUEUE = {"OTEL_BSP_MAX_QUEUE_SIZE": str(QUEUE), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(BATCH)}
AT_ONCE = 25
# Of a message to two members: from its receipt to the two writes.
SPANS_EACH = 9
# What is said before the memory is looked at fills the queue, and whatever else grows once.
WARMING, MESSAGES = 300, 600
# A process that kept the spans of the messages would have grown by 18 MB; with the queue it is 2 MB at most.
MEMORY_BYTES = 5_000_000
DROPPED = 'realtime_gateway_spans_dropped_total{reason="%s"}'


@pytest.fixture(scope="module")
def collector() -> Iterator[CollectorProcess]:
    with CollectorProcess() as it:
        yield it


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_real_collector_gets_a_whole_trace_and_the_metrics(
    protocol: str, serve: Serve, collector: CollectorProcess
) -> None:
    telemetry = {"otlpProtocol": protocol}
    a, b = (serve(name, endpoint=collector.url(protocol), more=telemetry, **QUICK) for name in ("a", "b"))
    room = f"/chat/{protocol[:4]}/"
    async with client(a, room) as sender, client(b, room) as member:
        await say(sender, "hello", sender, member)

    def whole() -> list[str]:
        """The trace of the message, as names from the outermost span to that of the other process's write."""
        spans = {span["spanId"]: span for span in collector.spans()}
        found = [
            s for s in spans.values() if s["name"] == "websocket send" and s["process"]["service.instance.id"] == "b"
        ]
        way = found[-1:]
        while way and way[0].get("parentSpanId") in spans:
            way.insert(0, spans[way[0]["parentSpanId"]])
        assert len({span["traceId"] for span in way}) <= 1
        return [span["name"] for span in way]

    expected = ["websocket receive", "Chat.websocket_receive", "publish chat_{name}", "deliver chat_{name}"]
    wait_until(lambda: whole() == [*expected, "Chat.chat_message", "websocket send"], 20)
    wait_until(lambda: "realtime_gateway.layer_publish" in collector.metric_names(), 20)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_trace_and_metrics_leave_over_either_protocol(protocol: str, serve: Serve) -> None:
    with receiving(protocol, "none") as exports:
        it = serve("a", endpoint=exports.url, more={"otlpProtocol": protocol}, **QUICK)
        async with client(it, "/chat/lobby/") as sender, client(it, "/chat/lobby/") as member:
            await say(sender, "hello", sender, member)
        wait_until(lambda: len(of_the_message(exports)) == SPANS_EACH, 20)
        wait_until(lambda: exports.of("metrics"), 20)
        assert failed(it) == (0, 0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("trouble", ["refuses", "slow", "dead"])
async def test_a_collector_in_trouble_changes_neither_delivery_nor_memory(
    trouble: Trouble, protocol: str, serve: Serve
) -> None:
    # The counters say that all spans but a queue of them are dropped, and the memory that nobody keeps what is.
    with receiving(protocol, trouble) as exports:
        it = serve("a", endpoint=exports.url, more={"otlpProtocol": protocol}, **QUICK, **SMALL_QUEUE)
        async with client(it, "/chat/lobby/") as sender, client(it, "/chat/lobby/") as member:
            await chat(0, WARMING, sender, member)
            before = it.resident_bytes()
            await chat(WARMING, WARMING + MESSAGES, sender, member)
            grown = it.resident_bytes() - before
            # What is not dropped waits in the queue, or is being sent; the last ones may not have ended yet.
            ended, most = (WARMING + MESSAGES) * SPANS_EACH, QUEUE + BATCH
            await asyncio.to_thread(it.wait_until, lambda: ended - dropped(it) <= most, "dropping all others", 30)
        assert grown < MEMORY_BYTES
        await asyncio.to_thread(it.wait_until, lambda: min(failed(it)) > 0, "counting failures", 30)
        await asyncio.to_thread(it.wait_until, lambda: it.metric(DROPPED % "refused") > 0, "dropping batches", 30)
        # One that refuses does so at once, and leaves room for what comes next.
        if trouble != "refuses":
            assert it.metric(DROPPED % "queue_full") > 0
        it.terminate()
        assert it.wait() == 0


async def test_a_collector_that_comes_back_gets_what_is_sent_from_then_on(serve: Serve) -> None:
    with CollectorProcess() as first:
        it = serve("a", endpoint=first.url("http"), **QUICK, **SMALL_QUEUE)
        async with client(it, "/chat/lobby/") as sender:
            await say(sender, "hello", sender)
            wait_until(first.spans, 20)
            first.kill()
            await say(sender, "to nobody", sender)
            await asyncio.to_thread(it.wait_until, lambda: min(failed(it)) > 0, "counting failures", 30)
            with first:
                before = len(first.spans())
                await say(sender, "hello again", sender)
                await asyncio.to_thread(wait_until, lambda: len(first.spans()) > before, 20)


def of_the_message(exports: Exports) -> list[ReceivedSpan]:
    """The spans of the trace that has a publication."""
    spans = [span for body in exports.of("trace") for span in spans_of(body)]
    traces = {span.trace_id for span in spans if span.name == "publish chat_{name}"}
    return [span for span in spans if span.trace_id in traces]


def dropped(it: ServeProcess) -> float:
    """How many spans no collector got."""
    return it.metric(DROPPED % "queue_full") + it.metric(DROPPED % "refused")


def failed(it: ServeProcess) -> tuple[float, float]:
    """How many exports of traces and of metrics were not taken."""
    counted = [it.metric(f'realtime_gateway_exports_failed_total{{signal="{one}"}}') for one in ("traces", "metrics")]
    return counted[0], counted[1]


async def chat(first: int, end: int, sender: ClientConnection, *others: ClientConnection) -> None:
    """Say numbers, a few at a time; everybody gets each of them, in order."""
    for begin in range(first, end, AT_ONCE):
        said = [str(number) for number in range(begin, min(begin + AT_ONCE, end))]
        for text in said:
            await sender.send(text)
        for receiver in (sender, *others):
            assert [json.loads(await receiver.recv())["message"] for _ in said] == said
