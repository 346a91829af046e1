"""The trace that one message has, checked span by span: who made it, under what, with which words, and when."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.support.trace_receiver import ReceivedSpan
from tests.support.traced_processes import messages, one

GROUP = "chat_{name}"
# Between two processes; within one, what comes later is not earlier by a nanosecond.
SLACK_NS = 2_000_000
SLACK_MS = SLACK_NS / 1e6
# Attributes whose values differ from run to run: numbers of zero and more.
MEASURED = {
    "messaging.message.body.size",
    "realtime_gateway.wait.sender_ms",
    "realtime_gateway.wait.redis_ms",
    "realtime_gateway.wait.redis_error_ms",
    "realtime_gateway.wait.mailbox_ms",
}
_TO_GROUP = {"messaging.destination.template": GROUP, "realtime_gateway.destination.kind": "group"}
_TO_AUDIT = {"messaging.destination.template": "audit", "realtime_gateway.destination.kind": "queue"}
_DELIVER = {
    "messaging.system": "realtime_gateway",
    "messaging.operation.name": "deliver",
    "messaging.operation.type": "process",
    "realtime_gateway.replayed": False,
}


def who(span: ReceivedSpan) -> str:
    return str(span.process["service.instance.id"])


def slack_ns(one_span: ReceivedSpan, other: ReceivedSpan) -> int:
    """By how much the order of two spans' times may be wrong."""
    return 0 if who(one_span) == who(other) else SLACK_NS


def check_one_trace(spans: list[ReceivedSpan], text: str, members: int) -> None:
    """A text that a client of process a has sent to a room with members in a, in b, and a worker that listens.

    Args:
        spans: everything that was exported, the handshakes too.
        text: of the message.
        members: with a socket, in each of the two processes.
    """
    told = messages(spans)
    assert len({span.trace_id for span in told}) == 1
    _check_steps(told, members)
    _check_attributes(told, text, members)
    _check_links(spans, told)
    _check_times(told)
    assert text not in repr(spans)


def _check_steps(told: list[ReceivedSpan], members: int) -> None:
    by_id = {span.span_id: span for span in told}
    assert len(by_id) == len(told)
    assert not [span.name for span in told if span.failed]
    steps = Counter(
        (by_id[span.parent_id].name if span.parent_id else "", span.name, span.kind, who(span)) for span in told
    )
    assert steps == {
        ("", "websocket receive", "SERVER", "a"): 1,
        ("websocket receive", "Chat.websocket_receive", "INTERNAL", "a"): 1,
        ("Chat.websocket_receive", f"publish {GROUP}", "PRODUCER", "a"): 1,
        (f"publish {GROUP}", "EVALSHA publish", "CLIENT", "a"): 1,
        (f"publish {GROUP}", f"deliver {GROUP}", "CONSUMER", "a"): 1,
        (f"publish {GROUP}", f"deliver {GROUP}", "CONSUMER", "b"): 1,
        (f"publish {GROUP}", "deliver audit", "CONSUMER", "worker"): 1,
        ("deliver audit", "Auditor.chat_message", "INTERNAL", "worker"): 1,
        (f"deliver {GROUP}", "Chat.chat_message", "INTERNAL", "a"): members,
        (f"deliver {GROUP}", "Chat.chat_message", "INTERNAL", "b"): members,
        ("Chat.chat_message", "websocket send", "PRODUCER", "a"): members,
        ("Chat.chat_message", "websocket send", "PRODUCER", "b"): members,
    }
    # Each member has a handler of its own, and each handler one write, in the process of the delivery.
    for name in ("Chat.chat_message", "websocket send"):
        parents = Counter(span.parent_id for span in told if span.name == name)
        assert max(parents.values()) == (members if name == "Chat.chat_message" else 1)
    assert all(who(span) == who(by_id[span.parent_id]) for span in told if span.name == "websocket send")


def _check_attributes(told: list[ReceivedSpan], text: str, members: int) -> None:
    expected: dict[str, dict[str, Any]] = {
        "websocket receive": {"network.protocol.name": "websocket", "realtime_gateway.websocket.opcode": "text"},
        "Chat.websocket_receive": {"code.function.name": "traced.Chat.websocket_receive"},
        f"publish {GROUP}": {
            "messaging.system": "realtime_gateway",
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "realtime_gateway.shard": "0",
            "realtime_gateway.tries": 1,
            **_TO_GROUP,
        },
        "EVALSHA publish": {
            "db.system.name": "redis",
            "db.operation.name": "EVALSHA",
            "db.stored_procedure.name": "publish",
            "realtime_gateway.shard": "0",
        },
        f"deliver {GROUP}": {**_DELIVER, **_TO_GROUP, "realtime_gateway.fan_out": members},
        "deliver audit": {**_DELIVER, **_TO_AUDIT, "realtime_gateway.fan_out": 1},
        "Auditor.chat_message": {"code.function.name": "traced.Auditor.chat_message"},
        "Chat.chat_message": {"code.function.name": "traced.Chat.chat_message"},
        "websocket send": {"network.protocol.name": "websocket", "realtime_gateway.websocket.opcode": "text"},
    }
    for span in told:
        said = dict(span.attributes)
        numbers = {name: said.pop(name) for name in MEASURED & said.keys()}
        assert said == expected[span.name], span.name
        assert all(number >= 0 for number in numbers.values()), (span.name, numbers)
    size = "messaging.message.body.size"
    assert one(told, "websocket receive", "a").attributes[size] == len(text.encode())
    sizes = {span.attributes[size] for span in told if span.name in ("websocket send", f"publish {GROUP}")}
    assert min(sizes) > len(text.encode())


def _check_links(spans: list[ReceivedSpan], told: list[ReceivedSpan]) -> None:
    received = one(told, "websocket receive", "a")
    (link,) = received.links
    (handshake,) = [span for span in spans if span.span_id == link]
    assert (handshake.name, who(handshake)) == ("GET", "a")
    assert handshake.trace_id != received.trace_id
    assert handshake.end_ns <= received.start_ns
    assert not [span.name for span in told if span.links and span is not received]


def _check_times(told: list[ReceivedSpan]) -> None:
    by_id = {span.span_id: span for span in told}
    for span in told:
        assert span.start_ns <= span.end_ns, span.name
        if span.parent_id:
            parent = by_id[span.parent_id]
            assert span.start_ns >= parent.start_ns - slack_ns(span, parent), (span.name, who(span))
    received, handled = one(told, "websocket receive", "a"), one(told, "Chat.websocket_receive", "a")
    published, stored = one(told, f"publish {GROUP}", "a"), one(told, "EVALSHA publish", "a")
    # What is waited for ends within what waits for it: they are of one process, by one clock.
    for inner, outer in ((stored, published), (published, handled), (handled, received)):
        assert inner.end_ns <= outer.end_ns, (inner.name, outer.name)
    for process, name in (("a", f"deliver {GROUP}"), ("b", f"deliver {GROUP}"), ("worker", "deliver audit")):
        delivered = one(told, name, process)
        assert delivered.start_ns >= stored.start_ns - slack_ns(delivered, stored), process
        _check_waits(delivered, published, stored)
    for span in told:
        if "realtime_gateway.wait.mailbox_ms" in span.attributes and span is not handled:
            # From when it came until it was taken lies between the two spans' beginnings.
            between_ms = (span.start_ns - by_id[span.parent_id].start_ns) / 1e6
            assert span.attributes["realtime_gateway.wait.mailbox_ms"] <= between_ms + SLACK_MS, span.name
        if span.name == "websocket send":
            assert span.start_ns <= by_id[span.parent_id].end_ns


def _check_waits(delivered: ReceivedSpan, published: ReceivedSpan, stored: ReceivedSpan) -> None:
    said = delivered.attributes
    held_ms = (stored.start_ns - published.start_ns) / 1e6
    assert said["realtime_gateway.wait.sender_ms"] <= held_ms + SLACK_MS
    if "realtime_gateway.wait.redis_error_ms" in said:
        longest_ms = (delivered.start_ns - stored.start_ns) / 1e6 + said["realtime_gateway.wait.redis_error_ms"]
        assert said["realtime_gateway.wait.redis_ms"] <= longest_ms + SLACK_MS
