"""A message between two real processes, over a real Redis, read back from what a collector was sent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess
from tests.support.trace_receiver import ReceivedSpan, TraceReceiver
from websockets.asyncio.client import ClientConnection, connect

APPLICATIONS = Path(__file__).parent / "applications"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = PARENT[:-2] + "00"

Serve = Callable[..., ServeProcess]


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisProcess]:
    with RedisProcess() as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[TraceReceiver]:
    with TraceReceiver() as started:
        yield started


@pytest.fixture
def serve(tmp_path: Path, redis_server: RedisProcess) -> Iterator[Serve]:
    """Start `serve` processes of one resource, named a, b, …, which all end with the test."""
    with ExitStack() as stack:

        def start(name: str, *, endpoint: str | None = None, ratio: float = 1.0, **environment: str) -> ServeProcess:
            telemetry = {"samplingRatio": ratio, **({"otlpEndpoint": endpoint} if endpoint else {})}
            resource = tmp_path / "resource.json"
            resource.write_text(
                json.dumps(
                    {
                        "apiVersion": "realtime-gateway.io/v1alpha1",
                        "kind": "RealtimeGateway",
                        "metadata": {"name": "chat", "namespace": "town"},
                        "spec": {"application": "traced:application", "telemetry": telemetry},
                    }
                )
            )
            return stack.enter_context(
                ServeProcess(
                    "traced:application",
                    "--drain-accept-seconds=0",
                    "--drain-seconds=1",
                    directory=APPLICATIONS,
                    environment={
                        "REDIS_URL": f"redis://127.0.0.1:{redis_server.port}",
                        "REALTIME_GATEWAY_RESOURCE": str(resource),
                        "REALTIME_GATEWAY_PROCESS": name,
                        "OTEL_BSP_SCHEDULE_DELAY": "50",
                        **environment,
                    },
                )
            )

        yield start


def client(process: ServeProcess, path: str, **headers: str) -> connect:
    return connect(process.websocket_url + path, additional_headers=headers, proxy=None)


async def say(sender: ClientConnection, text: str, *receivers: ClientConnection) -> None:
    """Send a message and wait until everybody has it."""
    await sender.send(text)
    for receiver in receivers:
        assert text in str(await receiver.recv())


@contextmanager
def running_worker(environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", "import traced; traced.run_worker()"], cwd=APPLICATIONS, env=environment
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def one(spans: list[ReceivedSpan], name: str, process: str) -> ReceivedSpan:
    found = [span for span in spans if span.name == name and span.process["service.instance.id"] == process]
    assert len(found) == 1, f"{name} of {process}: {[span.name for span in spans]}"
    return found[0]


def way_to(name: str, spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    """Return the newest span of a name with all that led to it, the first one first."""
    by_id = {span.span_id: span for span in spans}
    way = [next(span for span in reversed(spans) if span.name == name)]
    while way[0].parent_id:
        way.insert(0, by_id[way[0].parent_id])
    return way


async def test_a_message_from_process_a_to_process_b_is_one_trace(serve: Serve, receiver: TraceReceiver) -> None:
    a, b = serve("a", endpoint=receiver.url), serve("b", endpoint=receiver.url)
    async with client(a, "/chat/lobby/") as alice, client(b, "/chat/lobby/") as bob, client(b, "/chat/lobby/") as carl:
        await say(alice, "hello", alice, bob, carl)
        spans = receiver.wait_for(receive=1, publish=1, deliver=2, send=3)
    assert Counter((span.name, span.kind, span.process["service.instance.id"]) for span in spans) == {
        ("websocket receive", "SERVER", "a"): 1,
        ("publish chat_{name}", "PRODUCER", "a"): 1,
        ("deliver chat_{name}", "CONSUMER", "a"): 1,
        ("deliver chat_{name}", "CONSUMER", "b"): 1,
        ("websocket send", "PRODUCER", "a"): 1,
        ("websocket send", "PRODUCER", "b"): 2,
    }
    assert len({span.trace_id for span in spans}) == 1
    received, published = one(spans, "websocket receive", "a"), one(spans, "publish chat_{name}", "a")
    assert received.parent_id == ""
    assert published.parent_id == received.span_id
    for process in ("a", "b"):
        delivered = one(spans, "deliver chat_{name}", process)
        assert delivered.parent_id == published.span_id
        sent = [s for s in spans if s.name == "websocket send" and s.process["service.instance.id"] == process]
        assert {span.parent_id for span in sent} == {delivered.span_id}
        assert all(span.start_ns >= delivered.start_ns for span in sent)
    assert all(span.start_ns <= span.end_ns and not span.failed for span in spans)
    assert received.start_ns <= published.start_ns <= published.end_ns <= received.end_ns


async def test_spans_say_what_the_conventions_ask_and_nothing_of_groups_or_messages(
    serve: Serve, receiver: TraceReceiver
) -> None:
    a, b = serve("a", endpoint=receiver.url), serve("b", endpoint=receiver.url)
    async with client(a, "/chat/lobby/") as alice, client(b, "/chat/lobby/") as bob:
        await say(alice, "secret words", bob)
        spans = receiver.wait_for(receive=1, publish=1, deliver=2, send=2)
    assert one(spans, "websocket receive", "a").attributes == {
        "network.protocol.name": "websocket",
        "messaging.message.body.size": len("secret words"),
        "realtime_gateway.websocket.opcode": "text",
    }
    group = {"messaging.destination.template": "chat_{name}", "realtime_gateway.destination.kind": "group"}
    published = one(spans, "publish chat_{name}", "a").attributes
    assert published.pop("messaging.message.body.size") > len("secret words")
    assert published == {
        "messaging.system": "realtime_gateway",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "realtime_gateway.shard": "0",
        **group,
    }
    assert one(spans, "deliver chat_{name}", "b").attributes == {
        "messaging.system": "realtime_gateway",
        "messaging.operation.name": "deliver",
        "messaging.operation.type": "process",
        "realtime_gateway.fan_out": 1,
        **group,
    }
    process = one(spans, "websocket send", "b").process
    assert (process["service.name"], process["service.namespace"]) == ("chat", "town")
    written = repr(spans)
    assert "lobby" not in written
    assert "secret" not in written


@pytest.mark.parametrize("where", ["header", "query"])
async def test_the_context_that_a_client_brings_is_continued(serve: Serve, receiver: TraceReceiver, where: str) -> None:
    a = serve("a", endpoint=receiver.url, ratio=0.0)
    headers = {"traceparent": PARENT, "tracestate": "vendor=1"} if where == "header" else {}
    query = f"?traceparent={PARENT}&tracestate=vendor%3D1" if where == "query" else ""
    async with client(a, f"/chat/lobby/{query}", **headers) as alice:
        await say(alice, "hello", alice)
        spans = receiver.wait_for(receive=1, publish=1, deliver=1, send=1)
    assert {span.trace_id for span in spans} == {PARENT.split("-")[1]}
    assert one(spans, "websocket receive", "a").parent_id == PARENT.split("-")[2]
    assert {span.trace_state for span in spans} == {"vendor=1"}


@pytest.mark.parametrize("why", ["the ratio", "the client"])
async def test_what_is_not_sampled_adds_nothing(serve: Serve, receiver: TraceReceiver, why: str) -> None:
    a = serve("a", endpoint=receiver.url, ratio=0.0 if why == "the ratio" else 1.0)
    async with (
        client(a, "/chat/lobby/", **({"traceparent": NOT_SAMPLED} if why == "the client" else {})) as alice,
        client(a, "/chat/other/", traceparent=PARENT) as marked,
    ):
        for number in range(20):
            await say(alice, f"hello {number}", alice)
        # Whatever came before this one has been exported when it has.
        await say(marked, "traced", marked)
        spans = receiver.wait_for(receive=1, publish=1, deliver=1, send=1)
        a.terminate()
    assert a.wait() == 0
    assert {span.trace_id for span in receiver.spans()} == {PARENT.split("-")[1]}
    assert len(receiver.spans()) == len(spans) == 4


async def test_a_worker_continues_the_trace_of_what_it_takes(serve: Serve, receiver: TraceReceiver) -> None:
    a = serve("a", endpoint=receiver.url)
    with running_worker({**a.environment, "REALTIME_GATEWAY_PROCESS": "worker"}):
        async with client(a, "/chat/lobby/") as alice:
            await say(alice, "through a worker", alice)
        spans = receiver.wait_for(receive=1, publish=2, deliver=2, send=1)
    assert [(span.name, span.process["service.instance.id"]) for span in way_to("websocket send", spans)] == [
        ("websocket receive", "a"),
        ("publish thumbnails", "a"),
        ("deliver thumbnails", "worker"),
        ("publish {channel}", "worker"),
        ("deliver {channel}", "a"),
        ("websocket send", "a"),
    ]


async def test_handlers_in_threads_direct_sends_and_applications_without_channels_are_traced(
    serve: Serve, receiver: TraceReceiver
) -> None:
    a = serve("a", endpoint=receiver.url)
    expected = {
        "/sync/": ["websocket receive", "publish chat_{name}", "deliver chat_{name}", "websocket send"],
        "/chat/lobby/": ["websocket receive", "publish {channel}", "deliver {channel}", "websocket send"],
        "/plain/": ["websocket receive", "websocket send"],
    }
    for index, (path, names) in enumerate(expected.items()):
        async with client(a, path) as alice:
            await say(alice, "to myself", alice)
        spans = receiver.wait_for(
            receive=index + 1, publish=min(index + 1, 2), deliver=min(index + 1, 2), send=index + 1
        )
        assert [span.name for span in way_to("websocket send", spans)] == names, path


async def test_a_handler_that_fails_marks_its_span_without_the_messages_words(
    serve: Serve, receiver: TraceReceiver
) -> None:
    a = serve("a", endpoint=receiver.url)
    async with client(a, "/chat/lobby/") as alice:
        await alice.send("fail")
        await alice.wait_closed()
        spans = receiver.wait_for(receive=1)
    failed = one(spans, "websocket receive", "a")
    assert failed.failed
    assert failed.attributes["error.type"] == "ValueError"
    assert "what the client said" not in repr(spans)


async def test_the_last_spans_of_a_process_leave_with_it(serve: Serve, receiver: TraceReceiver) -> None:
    a = serve("a", endpoint=receiver.url, OTEL_BSP_SCHEDULE_DELAY="3600000")
    async with client(a, "/chat/lobby/") as alice:
        await say(alice, "hello", alice)
        assert receiver.spans() == []
        a.terminate()
    assert a.wait() == 0
    assert len(receiver.spans()) == 4


@pytest.mark.parametrize("trouble", ["nobody listens", "it refuses"])
async def test_a_collector_in_trouble_changes_nothing_for_messages(
    serve: Serve, receiver: TraceReceiver, trouble: str
) -> None:
    receiver.status = 503
    endpoint = receiver.url if trouble == "it refuses" else f"http://127.0.0.1:{free_port()}"
    # So small a queue is full at once; what does not fit is dropped.
    a = serve("a", endpoint=endpoint, OTEL_BSP_MAX_QUEUE_SIZE="16", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="8")
    async with client(a, "/chat/lobby/") as alice, client(a, "/chat/lobby/") as bob:
        for number in range(200):
            await say(alice, f"message {number};", alice, bob)
        a.terminate(signal.SIGTERM)
        await alice.wait_closed()
        assert alice.close_code == 1012
    assert a.wait() == 0
    complaints = [line for line in a.output.splitlines() if " ERROR" in line or " WARNING" in line]
    assert len(complaints) <= 5, a.output
