"""What a consumer logs while it handles a traced message leads to its trace."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.support.serve_process import ServeProcess
from tests.support.trace_receiver import TraceReceiver
from tests.support.traced_processes import Serve, client, one, say


def line_of(it: ServeProcess, message: str) -> dict[str, Any]:
    """The one line of JSON with a message."""
    it.wait_for_output(f'"message": "{message}"')
    lines = [json.loads(line) for line in it.output.splitlines() if line.startswith("{")]
    [found] = [line for line in lines if line["message"] == message]
    return found


@pytest.mark.parametrize(
    ("path", "said", "span"),
    [
        ("/chat/lobby/", "a client says hello", "Chat.websocket_receive"),
        ("/sync/", "a member hears hello", "SyncChat.chat_message"),
    ],
)
async def test_a_handlers_line_has_the_ids_of_its_own_span(
    path: str, said: str, span: str, serve: Serve, receiver: TraceReceiver
) -> None:
    it = serve("a", endpoint=receiver.url, more={"log": "json"})
    async with client(it, path) as sender:
        await say(sender, "hello", sender)
    handled = one(receiver.wait_for(**{span: 1}), span, "a")
    line = line_of(it, said)
    assert (line["trace_id"], line["span_id"]) == (handled.trace_id, handled.span_id)
    assert (line["level"], line["logger"]) == ("WARNING", "site")
    assert "trace_id" not in line_of(it, f"Serving traced:application on {it.url}")


async def test_a_line_of_text_has_them_behind_it(serve: Serve, receiver: TraceReceiver) -> None:
    it = serve("a", endpoint=receiver.url)
    async with client(it, "/chat/lobby/") as sender:
        await say(sender, "hello", sender)
    handled = one(receiver.wait_for(**{"Chat.websocket_receive": 1}), "Chat.websocket_receive", "a")
    [found] = re.findall(r"WARNING +a client says hello \[trace_id=(\w+) span_id=(\w+)\]", it.output)
    assert found == (handled.trace_id, handled.span_id)


async def test_a_consumers_failure_is_one_line_with_its_traceback(serve: Serve, receiver: TraceReceiver) -> None:
    it = serve("a", endpoint=receiver.url, more={"log": "json"})
    async with client(it, "/chat/lobby/") as sender:
        await sender.send("fail")
        await sender.wait_closed()
    assert (
        "ValueError: what the client said"
        in line_of(it, "Exception inside application: what the client said")["exception"]
    )
