"""WebSockets as JavaScript in a real browser sees them: bytes, close codes and reasons, subprotocols, compression."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.chromium import NEEDS_CHROMIUM
from tests.support.serve_process import ServeProcess

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = NEEDS_CHROMIUM

APPLICATIONS = Path(__file__).parents[1] / "server" / "applications"
LIMIT_BYTES = 100_000
# Opens a WebSocket, sends what it is given (an array is bytes), reads as many messages, closes if it is told to, and
# returns all that it has seen.
CONVERSATION = """
({url, protocols, messages, close}) => new Promise((resolve, reject) => {
  const socket = new WebSocket(url, protocols ?? []);
  const seen = {received: []};
  socket.binaryType = "arraybuffer";
  const done = () => { if (close) socket.close(...close); };
  socket.onopen = () => {
    seen.protocol = socket.protocol;
    seen.extensions = socket.extensions;
    for (const message of messages) socket.send(Array.isArray(message) ? new Uint8Array(message) : message);
    if (messages.length === 0) done();
  };
  socket.onmessage = ({data}) => {
    seen.received.push(typeof data === "string" ? data : Array.from(new Uint8Array(data)));
    if (seen.received.length === messages.length) done();
  };
  socket.onclose = ({code, reason, wasClean}) => resolve({...seen, code, reason, wasClean});
})
"""


def serving(*options: str) -> ServeProcess:
    limit = ("--websocket-max-message-size", str(LIMIT_BYTES))
    return ServeProcess("conversations:application", *limit, *options, directory=APPLICATIONS)


@pytest.fixture(scope="module", params=[(), ("--compression",)], ids=["plain", "compressed"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[ServeProcess, bool]]:
    with serving(*request.param) as running:
        yield running, bool(request.param)


@pytest.fixture
def talk(browser: Any, server: tuple[ServeProcess, bool]) -> Iterator[Any]:
    running, _ = server
    context = browser.new_context()
    page = context.new_page()
    page.goto(running.url)

    def talk(path: str, *messages: str | list[int], **more: Any) -> dict[str, Any]:
        asked = {"url": running.websocket_url + path, "messages": list(messages), **more}
        seen: dict[str, Any] = page.evaluate(CONVERSATION, asked)
        return seen

    yield talk
    context.close()


def test_text_and_bytes_come_back_compressed_where_the_server_agrees(talk: Any, server: tuple[ServeProcess, bool]):
    _, compressed = server
    messages = ["", "Grüße 👋", "x" * 50_000, [], list(range(256)), [0] * 50_000]
    seen = talk("/echo", *messages, close=[1000])
    assert seen["received"] == messages
    assert seen["extensions"].startswith("permessage-deflate") is compressed
    assert (seen["code"], seen["wasClean"]) == (1000, True)


def test_code_and_reason_of_the_application_reach_the_page(talk: Any):
    seen = talk("/close?code=4123&reason=gr%C3%BC%C3%9Fe")
    assert (seen["code"], seen["reason"], seen["wasClean"]) == (4123, "grüße", True)


def test_code_and_reason_of_the_page_reach_the_application(talk: Any, server: tuple[ServeProcess, bool]):
    seen = talk("/echo", "hello", close=[4001, "enough for today"])
    assert (seen["code"], seen["wasClean"]) == (4001, True)
    running, _ = server
    running.wait_for_output("disconnect 4001 enough for today")


def test_the_subprotocol_that_the_application_chooses_is_the_page_s(talk: Any):
    seen = talk("/subprotocol?choose=v2", protocols=["v1", "v2"], close=[1000])
    assert seen["protocol"] == "v2"


def test_a_message_over_the_limit_is_1009_for_the_page(talk: Any):
    seen = talk("/echo", "x" * (LIMIT_BYTES + 1))
    assert (seen["code"], seen["wasClean"]) == (1009, True)
