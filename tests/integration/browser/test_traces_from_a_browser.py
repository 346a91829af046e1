"""What a browser's page says, followed from its socket to everybody's, and a trace that the page itself has begun."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.integration.telemetry.conftest import receiver, redis_server, serve  # noqa: F401  (fixtures)
from tests.support.chromium import NEEDS_CHROMIUM_AND_REDIS, uncomplaining_page
from tests.support.message_trace import check_one_trace
from tests.support.serve_process import ServeProcess
from tests.support.trace_receiver import TraceReceiver
from tests.support.traced_processes import Serve, messages, one, running_worker
from websockets.sync.client import ClientConnection, connect

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = NEEDS_CHROMIUM_AND_REDIS

MEMBERS = 25
TEXT = "hello from a browser"


@pytest.fixture
def page(browser: playwright_api.Browser) -> Iterator[playwright_api.Page]:
    with uncomplaining_page(browser) as opened:
        yield opened


def enter(page: playwright_api.Page, process: ServeProcess, room: str, context: str = "") -> None:
    page.goto(f"{process.url}/?room={room}&context={context}")
    expect(page.locator("#connected")).to_have_text("connected")


def say(page: playwright_api.Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator("#heard li")).to_have_count(1)
    expect(page.locator("#heard li")).to_contain_text(text)


def member(process: ServeProcess, room: str) -> ClientConnection:
    return connect(f"{process.websocket_url}/chat/{room}/", proxy=None)


def test_a_message_of_a_browser_to_fifty_members_in_two_processes_and_a_worker_is_one_trace(
    page: playwright_api.Page,
    serve: Serve,  # noqa: F811
    receiver: TraceReceiver,  # noqa: F811
) -> None:
    a, b = serve("a", endpoint=receiver.url), serve("b", endpoint=receiver.url)
    with running_worker({**a.environment, "REALTIME_GATEWAY_PROCESS": "worker"}), ExitStack() as stack:
        enter(page, a, "audited")
        others = [
            stack.enter_context(member(process, "audited"))
            for process, count in ((a, MEMBERS - 1), (b, MEMBERS))
            for _ in range(count)
        ]
        say(page, TEXT)
        assert all(TEXT in str(other.recv(timeout=30)) for other in others)
        receiver.wait_for(GET=2 * MEMBERS, receive=1, publish=1, deliver=3, send=2 * MEMBERS)
        spans = receiver.wait_for(**{"Auditor.chat_message": 1})
    check_one_trace(spans, TEXT, MEMBERS)


@pytest.mark.parametrize("where", ["query", "message"])
def test_a_trace_that_the_pages_script_has_begun_goes_on_in_every_process(
    page: playwright_api.Page,
    serve: Serve,  # noqa: F811
    receiver: TraceReceiver,  # noqa: F811
    where: str,
) -> None:
    # Nothing is traced but what asks for it, as the page does.
    a, b = (serve(name, endpoint=receiver.url, ratio=0.0, more={"contextInMessages": True}) for name in "ab")
    with member(b, "lobby") as other:
        enter(page, a, "lobby", where)
        say(page, TEXT)
        assert TEXT in str(other.recv(timeout=30))
        spans = receiver.wait_for(receive=1, publish=1, deliver=2, send=2)
    _, trace_id, parent_id, _ = page.locator("#traceparent").inner_text().split("-")
    assert {span.trace_id for span in spans} == {trace_id}
    assert {span.trace_state for span in spans} == {"shop=cart:7"}
    assert one(spans, "websocket receive", "a").parent_id == parent_id
    assert {span.process["service.instance.id"] for span in messages(spans)} == {"a", "b"}
    # The handshake belongs to it where the handshake has brought it.
    assert [span.parent_id for span in spans if span.name == "GET"] == [parent_id] * (where == "query")
