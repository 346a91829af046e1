"""Beside OpenTelemetry's own instrumentations of ASGI and Django, which a site may have already."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.support.pages import get
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess
from tests.support.trace_receiver import ReceivedSpan, TraceReceiver
from tests.support.traced_processes import APPLICATIONS, client, say, way_to

pytest.importorskip("opentelemetry.instrumentation.asgi", reason="opentelemetry-instrumentation-asgi is not installed")
pytest.importorskip("opentelemetry.instrumentation.django", reason="… -django is not installed")


@pytest.fixture
def site(redis_server: RedisProcess, receiver: TraceReceiver) -> Iterator[ServeProcess]:
    environment = {
        "REDIS_URL": f"redis://127.0.0.1:{redis_server.port}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_SERVICE_NAME": "site",
        # Those of its libraries, which are none of ours.
        "PYTHONWARNINGS": "default",
    }
    options = ("--drain-accept-seconds=0", "--drain-seconds=1")
    with ServeProcess("instrumented:application", *options, directory=APPLICATIONS, environment=environment) as process:
        yield process


def names(spans: list[ReceivedSpan]) -> list[str]:
    return [span.name for span in spans]


async def test_what_an_instrumented_view_sends_is_a_part_of_the_requests_trace(
    site: ServeProcess, receiver: TraceReceiver
) -> None:
    async with client(site, "/chat/") as alice:
        receiver.wait_for(GET=1)
        assert await asyncio.to_thread(get, f"{site.url}/announce/") == (200, b"told")
        assert await alice.recv() == "announced"
        receiver.wait_for(publish=1, deliver=1)
        trace_id = next(span.trace_id for span in receiver.spans() if span.name == "publish chat_{name}")
        receiver.wait_until(lambda: any(span.kind == "SERVER" for span in receiver.spans(trace_id)))
        way = way_to("deliver chat_{name}", receiver.spans(trace_id))
    assert way[0].kind == "SERVER"
    assert "announce" in way[0].name
    assert names(way)[-2:] == ["publish chat_{name}", "deliver chat_{name}"]
    assert not way[0].parent_id


async def test_a_message_is_one_trace_with_the_sites_own_spans_in_their_places(
    site: ServeProcess, receiver: TraceReceiver
) -> None:
    async with client(site, "/chat/") as alice:
        await say(alice, "hello", alice)
        receiver.wait_for(publish=1, deliver=1)
        receiver.wait_until(lambda: ours(receiver, "Chat.chat_message"))
        receiver.wait_until(lambda: ours(receiver, "Chat.websocket_receive"))
        receiver.wait_until(lambda: ours(receiver, "moderate"))
    (trace_id,) = {span.trace_id for span in receiver.spans() if span.name == "publish chat_{name}"}
    spans = receiver.spans(trace_id)
    assert names(way_to("Chat.chat_message", spans)) == [
        "websocket receive",
        "Chat.websocket_receive",
        "moderate",
        "publish chat_{name}",
        "deliver chat_{name}",
        "Chat.chat_message",
    ]


def ours(receiver: TraceReceiver, name: str) -> bool:
    return any(span.name == name for span in receiver.spans())
