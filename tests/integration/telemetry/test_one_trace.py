"""A message between real processes, over a real Redis, read back from what a collector was sent."""

from __future__ import annotations

import json
import signal
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from tests.support.free_port import free_port
from tests.support.message_trace import check_one_trace
from tests.support.trace_receiver import ReceivedSpan, TraceReceiver
from tests.support.traced_processes import (
    NOT_SAMPLED,
    PARENT,
    Serve,
    client,
    messages,
    one,
    running_worker,
    say,
    way_to,
)
from websockets.exceptions import InvalidStatus

from realtime_gateway.telemetry.crowd import DETAILED

OTHER = PARENT.replace("0af7", "0bf7")
MEMBERS = 25
OTHERS = 8


async def test_a_message_to_fifty_members_in_two_processes_and_a_worker_is_one_trace(
    serve: Serve, receiver: TraceReceiver
) -> None:
    a, b = serve("a", endpoint=receiver.url), serve("b", endpoint=receiver.url)
    with running_worker({**a.environment, "REALTIME_GATEWAY_PROCESS": "worker"}):
        async with AsyncExitStack() as stack:
            members = [
                await stack.enter_async_context(client(process, "/chat/audited/"))
                for process in (a, b)
                for _ in range(MEMBERS)
            ]
            await say(members[0], "hello to all", *members)
            receiver.wait_for(GET=50, receive=1, publish=1, deliver=3, send=50)
            spans = receiver.wait_for(**{"Auditor.chat_message": 1})
    check_one_trace(spans, "hello to all", MEMBERS)


@pytest.mark.parametrize(
    ("path", "handler"), [("/chat/lobby/", "Chat.chat_message"), ("/sync/", "SyncChat.chat_message")]
)
async def test_of_very_many_members_the_first_have_spans_of_their_own_and_all_are_counted(
    serve: Serve, receiver: TraceReceiver, path: str, handler: str
) -> None:
    a = serve("a", endpoint=receiver.url)
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(client(a, path)) for _ in range(DETAILED + OTHERS)]
        await say(members[0], "hello to all", *members)
        receiver.wait_until(lambda: bool(summed(receiver.spans())) and sum(sent(receiver.spans())) == len(members))
    spans = messages(receiver.spans())
    [deliver] = [span for span in spans if span.name == "deliver chat_{name}"]
    assert deliver.attributes["realtime_gateway.fan_out"] == DETAILED + OTHERS
    handlers = [span for span in spans if span.name == handler]
    assert {span.parent_id for span in handlers} == {deliver.span_id}
    assert len(handlers) == DETAILED + 1
    [total] = summed(spans)
    assert total in handlers
    assert total.attributes["realtime_gateway.members"] == OTHERS
    assert total.attributes["realtime_gateway.longest_ms"] <= total.attributes["realtime_gateway.total_ms"]
    sends = [span for span in spans if span.name == "websocket send"]
    assert {span.parent_id for span in sends} == {span.span_id for span in handlers}
    assert sorted(sent(spans)) == [*[1] * DETAILED, OTHERS]
    assert len({span.trace_id for span in spans}) == 1


async def test_handlers_that_fail_have_spans_of_their_own_however_many_members_there_are(
    serve: Serve, receiver: TraceReceiver
) -> None:
    a = serve("a", endpoint=receiver.url)
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(client(a, "/chat/lobby/")) for _ in range(DETAILED + OTHERS)]
        failing = [await stack.enter_async_context(client(a, "/chat/lobby/failing/")) for _ in range(OTHERS)]
        await say(members[0], "hello to all", *members)
        for member in failing:
            await member.wait_closed()
        receiver.wait_until(lambda: bool(summed(receiver.spans())) and sum(sent(receiver.spans())) == len(members))
        receiver.wait_for(**{"Failing.chat_message": OTHERS})
    spans = messages(receiver.spans())
    [deliver] = [span for span in spans if span.name == "deliver chat_{name}"]
    own = [span for span in spans if span.name == "Failing.chat_message" and span.failed]
    assert len(own) == OTHERS
    assert {span.attributes["error.type"] for span in own} == {"ValueError"}
    assert {span.parent_id for span in own} == {deliver.span_id}
    told = [span for span in spans if span.name == "Chat.chat_message"]
    assert sum(span.attributes.get("realtime_gateway.members", 1) for span in told) == len(members)
    assert "hello to all" not in repr(spans)


def summed(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    """The spans that sum up members who have handled something."""
    return [span for span in spans if span.attributes.get("realtime_gateway.members")]


def sent(spans: list[ReceivedSpan]) -> list[int]:
    """To how many sockets each write was."""
    return [span.attributes.get("realtime_gateway.sockets", 1) for span in spans if span.name == "websocket send"]


async def test_what_is_rendered_once_and_written_to_all_at_once_is_one_handler_and_one_send_with_their_number(
    serve: Serve, receiver: TraceReceiver
) -> None:
    a = serve("a", endpoint=receiver.url)
    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(client(a, "/fast/")) for _ in range(MEMBERS)]
        await say(members[0], "hello to all", *members)
        receiver.wait_until(lambda: sum(written(receiver.spans())) == MEMBERS)
    spans = messages(receiver.spans())
    [deliver] = [span for span in spans if span.name == "deliver fast_{name}"]
    assert deliver.attributes["realtime_gateway.fan_out"] == MEMBERS
    rendered = one(spans, "Fast.chat_message", "a")
    assert rendered.parent_id == deliver.span_id
    sends = [span for span in spans if span.name == "websocket send"]
    assert {span.parent_id for span in sends} == {rendered.span_id}
    assert {span.attributes["messaging.message.body.size"] for span in sends} == {len("hello to all")}
    # The sender's own handler may run when the others are written to; its socket is written to when it ends.
    assert written(spans) in ([MEMBERS], [MEMBERS - 1, 1])
    assert all(span.start_ns <= span.end_ns and span.start_ns >= rendered.start_ns for span in sends)


def written(spans: list[ReceivedSpan]) -> list[int]:
    """How many sockets each write was to, the largest first."""
    found = [span.attributes["realtime_gateway.sockets"] for span in spans if span.name == "websocket send"]
    return sorted(map(int, found), reverse=True)


async def test_a_handshake_is_one_span_that_ends_with_its_answer_and_each_message_is_linked_to_it(
    serve: Serve, receiver: TraceReceiver
) -> None:
    a = serve("a", endpoint=receiver.url)
    async with client(a, "/chat/lobby/") as alice:
        # It has ended although the connection lives.
        receiver.wait_for(GET=1)
        await say(alice, "hello", alice)
        spans = receiver.wait_for(receive=1)
    handshake = one(spans, "GET", "a")
    assert handshake.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 101,
        "url.scheme": "http",
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "http.request.header.upgrade": ["websocket"],
        "realtime_gateway.handshake.result": "accepted",
        "realtime_gateway.handshake.origin": "allowed",
    }
    assert one(spans, "Chat.websocket_connect", "a").parent_id == handshake.span_id
    assert one(spans, "websocket receive", "a").links == (handshake.span_id,)
    assert one(spans, "websocket receive", "a").trace_id != handshake.trace_id


async def test_a_refused_handshake_says_why(serve: Serve, receiver: TraceReceiver) -> None:
    a = serve("a", endpoint=receiver.url)
    with pytest.raises(InvalidStatus):
        await client(a, "/chat/lobby/", origin="https://elsewhere.example").__aenter__()
    attributes = one(receiver.wait_for(GET=1), "GET", "a").attributes
    assert attributes["http.response.status_code"] == 403
    assert attributes["realtime_gateway.handshake.result"] == "rejected"
    assert attributes["realtime_gateway.handshake.origin"] == "origin"


@pytest.mark.parametrize("asked", [True, False])
async def test_a_json_message_brings_its_own_context_where_the_site_asks_for_that(
    serve: Serve, receiver: TraceReceiver, asked: bool
) -> None:
    a = serve("a", endpoint=receiver.url, ratio=0.0, more={"contextInMessages": asked})
    text = json.dumps({"words": "hello", "traceparent": PARENT, "tracestate": "vendor=1"})
    async with client(a, "/chat/lobby/") as alice, client(a, "/chat/lobby/", traceparent=OTHER) as marked:
        await alice.send(text)
        await alice.recv()
        await marked.recv()
        await say(marked, "this one is traced in any case", marked)
        spans = receiver.wait_for(receive=2 if asked else 1)
    received = [span for span in spans if span.name == "websocket receive" and span.trace_id == PARENT.split("-")[1]]
    assert [(span.parent_id, span.trace_state) for span in received] == [(PARENT.split("-")[2], "vendor=1")] * asked


@pytest.mark.parametrize("names", ["raw", "hashed"])
async def test_names_are_shown_or_hashed_where_the_site_asks_for_that(
    serve: Serve, receiver: TraceReceiver, names: str
) -> None:
    a, b = (serve(name, endpoint=receiver.url, more={"destinationNames": names}) for name in "ab")
    async with client(a, "/chat/lobby/") as alice, client(b, "/chat/lobby/") as bob:
        await say(alice, "hello", alice, bob)
        spans = receiver.wait_for(publish=1, deliver=2)
    shown = {span.attributes["messaging.destination.name"] for span in spans if "{name}" in span.name}
    assert len(shown) == 1
    assert (shown == {"chat_lobby"}) == (names == "raw")
    assert ("lobby" in repr(spans)) == (names == "raw")
    assert one(spans, "publish chat_{name}", "a").attributes["messaging.destination.template"] == "chat_{name}"


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
        "realtime_gateway.tries": 1,
        **group,
    }
    assert one(spans, "EVALSHA publish", "a").attributes == {
        "db.system.name": "redis",
        "db.operation.name": "EVALSHA",
        "db.stored_procedure.name": "publish",
        "realtime_gateway.shard": "0",
    }
    delivered = one(spans, "deliver chat_{name}", "b").attributes
    waits = {name: delivered.pop(name) for name in list(delivered) if name.startswith("realtime_gateway.wait.")}
    assert waits.keys() >= {"realtime_gateway.wait.sender_ms", "realtime_gateway.wait.redis_ms"}
    assert all(wait >= 0 for wait in waits.values())
    handled = one(spans, "Chat.chat_message", "b").attributes
    assert handled.pop("realtime_gateway.wait.mailbox_ms") >= 0
    assert handled == {"code.function.name": "traced.Chat.chat_message"}
    assert delivered == {
        "messaging.system": "realtime_gateway",
        "messaging.operation.name": "deliver",
        "messaging.operation.type": "process",
        "realtime_gateway.fan_out": 1,
        "realtime_gateway.replayed": False,
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
    assert one(spans, "GET", "a").parent_id == PARENT.split("-")[2]
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
    assert Counter(span.name for span in spans) == Counter(span.name for span in receiver.spans())
    assert len(messages(spans)) == 7


async def test_a_worker_continues_the_trace_of_what_it_takes(serve: Serve, receiver: TraceReceiver) -> None:
    a = serve("a", endpoint=receiver.url)
    with running_worker({**a.environment, "REALTIME_GATEWAY_PROCESS": "worker"}):
        async with client(a, "/chat/lobby/") as alice:
            await say(alice, "through a worker", alice)
        spans = receiver.wait_for(receive=1, publish=2, deliver=2, send=1)
    assert [(span.name, span.process["service.instance.id"]) for span in way_to("websocket send", spans)] == [
        ("websocket receive", "a"),
        ("Chat.websocket_receive", "a"),
        ("publish thumbnails", "a"),
        ("deliver thumbnails", "worker"),
        ("Worker.work", "worker"),
        ("publish {channel}", "worker"),
        ("deliver {channel}", "a"),
        ("Chat.chat_message", "a"),
        ("websocket send", "a"),
    ]


async def test_handlers_in_threads_direct_sends_and_applications_without_channels_are_traced(
    serve: Serve, receiver: TraceReceiver
) -> None:
    a = serve("a", endpoint=receiver.url)
    expected = {
        "/sync/": [
            "websocket receive",
            "SyncChat.websocket_receive",
            "publish chat_{name}",
            "deliver chat_{name}",
            "SyncChat.chat_message",
            "websocket send",
        ],
        "/chat/lobby/": [
            "websocket receive",
            "Chat.websocket_receive",
            "publish {channel}",
            "deliver {channel}",
            "Chat.chat_message",
            "websocket send",
        ],
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
    handler = one(spans, "Chat.websocket_receive", "a")
    assert handler.failed
    assert handler.attributes["error.type"] == "ValueError"
    assert "what the client said" not in repr(spans)


async def test_the_last_spans_of_a_process_leave_with_it(serve: Serve, receiver: TraceReceiver) -> None:
    a = serve("a", endpoint=receiver.url, OTEL_BSP_SCHEDULE_DELAY="3600000")
    async with client(a, "/chat/lobby/") as alice:
        await say(alice, "hello", alice)
        assert receiver.spans() == []
        a.terminate()
    assert a.wait() == 0
    assert len(messages(receiver.spans())) == 7


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
    written = [line for line in a.output.splitlines() if "a client says" not in line]  # by the application itself
    complaints = [line for line in written if " ERROR" in line or " WARNING" in line]
    assert len(complaints) <= 5, a.output
