"""The console of `up` in a real browser: what runs, how fast, who owns what, and one message's way as a waterfall.

What it saw is left in tests/artefacts/, wide and as on a phone.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
from collections.abc import Iterator

import httpx
import pytest
from tests.support.chromium import NEEDS_CHROMIUM_AND_REDIS, WIDE, take_pictures, uncomplaining_page
from tests.support.conditions import wait_until
from tests.support.traced_processes import PARENT
from tests.support.up_process import UpProcess, running_example
from websockets.sync.client import ClientConnection, connect

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = NEEDS_CHROMIUM_AND_REDIS

SLOW_MS = 30_000


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    with running_example(tmp_path_factory.mktemp("chat")) as up:
        yield up


def console_of(up: UpProcess) -> str:
    return up.wait_for(r"console: (http://127\.0\.0\.1:\d+/)").group(1)


@pytest.fixture
def page(browser: playwright_api.Browser, chat: UpProcess) -> Iterator[playwright_api.Page]:
    """The console."""
    with uncomplaining_page(browser, base_url=console_of(chat), viewport=WIDE) as opened:
        opened.goto("/")
        yield opened


def client(up: UpProcess, query: str = "") -> ClientConnection:
    address = f"ws://127.0.0.1:{up.port}/ws/chat/lobby/{query}"
    return connect(address, origin=f"http://127.0.0.1:{up.port}", open_timeout=30)


def tell(speaker: ClientConnection, text: str) -> None:
    speaker.send(json.dumps({"message": text}))
    while text not in str(speaker.recv(timeout=30)):
        pass


def test_it_shows_what_runs_and_counts_the_open_connections(page: playwright_api.Page, chat: UpProcess) -> None:
    expect(page.get_by_role("heading", name="chat", exact=True)).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("11 of 11 processes ready")
    expect(page.locator("#application li")).to_have_count(3)
    expect(page.locator("#application li", has_text="worker-receipts-0")).to_contain_text("epoch 1")
    for shard in ("chat-redis-0", "chat-redis-1"):
        box = page.locator("#shards > li", has_text=shard)
        expect(box.locator(".role.primary")).to_have_count(1)
        expect(box.locator(".role.replica")).to_have_count(1)
    expect(page.locator("#others li", has_text="sentinel")).to_have_count(3)
    with client(chat), client(chat) as second:
        expect(page.locator(".tile strong").first).to_have_text("2")
        tell(second, "hello")
        # Whoever has a client uses the layer.
        with_clients = page.locator("#application li", has_text=re.compile("gateway · [12] connections?"))
        expect(with_clients.filter(has_text="epoch 1")).to_have_count(with_clients.count())
        drawing = page.get_by_role("img", name=re.compile("^open WebSockets: 2 now"))
        expect(drawing.locator("polyline")).to_have_attribute("points", re.compile(r"\d"))
        received = page.get_by_role("img", name=re.compile(r"^from clients: .* at most (0\.[1-9]|[1-9])"))
        expect(received).to_be_attached()
    expect(page.locator(".tile strong").first).to_have_text("0")


def test_a_message_between_two_windows_is_a_waterfall_of_all_its_steps(
    page: playwright_api.Page, chat: UpProcess
) -> None:
    trace_id = PARENT.split("-")[1]
    with client(chat), client(chat, f"?traceparent={PARENT}") as speaker:
        tell(speaker, "hello")
        found = page.locator(f"#recent a[href='#trace={trace_id}']")
        expect(found).to_contain_text("publish chat_{name}")
        # By keyboard alone, as all of the page.
        found.focus()
        page.keyboard.press("Enter")
        rows = page.locator("#waterfall .what")
        expect(rows.filter(has_text="websocket send")).to_have_count(2)
        assert rows.all_inner_texts()[:2] == ["GET", "ChatConsumer.websocket_connect"]
        shown = rows.all_inner_texts()[2:]
        assert shown[:3] == ["websocket receive", "ChatConsumer.websocket_receive", "publish chat_{name}"]
        assert {"EVALSHA publish", "ChatConsumer.chat_message", "websocket send"} <= set(shown)
        assert any(text.startswith("deliver chat_{name} → ") for text in shown)
    expect(page.get_by_label("Trace id")).to_have_value(trace_id)
    expect(found).to_have_attribute("aria-current", "true")
    for bar in page.locator("#waterfall .bar").all():
        box, track = bar.bounding_box(), bar.locator("..").bounding_box()
        assert box is not None
        assert track is not None
        assert track["x"] - 1 <= box["x"] <= box["x"] + box["width"] <= track["x"] + track["width"] + 4
    publish = page.locator("#waterfall details", has_text="publish chat_{name}").first
    publish.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(publish.locator("dl")).to_contain_text("realtime_gateway.shard")
    assert "hello" not in page.content()
    take_pictures(page, "console", whole=True)


def test_a_row_that_is_open_stays_open_and_keeps_the_keyboard_when_spans_come_late(
    page: playwright_api.Page, chat: UpProcess
) -> None:
    parent = PARENT.replace("0af7", "0ef7")
    with client(chat, f"?traceparent={parent}") as speaker:
        tell(speaker, "hello")
        page.goto(f"/#trace={parent.split('-')[1]}")
        publishes = page.locator("#waterfall details", has_text="publish chat_{name}")
        publishes.first.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(publishes.first.locator("dl")).to_be_visible()
        tell(speaker, "again")

        def is_shown_anew() -> bool:
            page.evaluate("dispatchEvent(new HashChangeEvent('hashchange'))")
            return bool(publishes.count() == 2)

        wait_until(is_shown_anew, 30, 0.2)
    expect(publishes.first).to_have_attribute("open", "")
    expect(publishes.first.locator("summary")).to_be_focused()
    expect(publishes.last.locator("dl")).not_to_be_visible()


def test_what_a_view_gives_a_worker_to_do_is_followed_into_the_worker_and_back(
    page: playwright_api.Page, chat: UpProcess
) -> None:
    with httpx.Client(base_url=chat.url, trust_env=False, follow_redirects=True) as visitor:

        def post(form: str, action: str, **fields: str) -> None:
            visitor.get(form)
            token = visitor.cookies["csrftoken"]
            visitor.post(action, data={"csrfmiddlewaretoken": token, **fields}).raise_for_status()

        post("/login/", "/login/", username="demo", password="demo")
        post("/", "/orders/1/receipt/")
    page.locator("#recent a", has_text="publish receipts").first.click()
    names = page.locator("#waterfall .what")
    expect(names.filter(has_text="publish user.{name}")).to_have_count(1)
    handler = page.locator("#waterfall details", has_text="ReceiptConsumer.receipt_write")
    expect(handler.locator(".process")).to_have_text("worker-receipts-0")
    assert names.all_inner_texts()[0] == "publish receipts"


def test_a_trace_is_found_by_its_id_and_a_wrong_one_is_said(page: playwright_api.Page, chat: UpProcess) -> None:
    other = PARENT.replace("0af7", "0cf7")
    with client(chat, f"?traceparent={other}") as speaker:
        tell(speaker, "hello")
    for given, said in (("nonsense", "32 hexadecimal digits"), ("f" * 32, "No process keeps a span of this trace")):
        page.get_by_label("Trace id").fill(given)
        page.keyboard.press("Enter")
        expect(page.locator("#search-said")).to_contain_text(said)
    page.get_by_label("Trace id").fill(other)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#waterfall .what", has_text="websocket send")).to_have_count(1)
    expect(page.locator("#search-said")).to_be_empty()


def test_the_ring_says_what_a_third_shard_would_move(page: playwright_api.Page) -> None:
    expect(page.locator("#legend li")).to_have_count(2)
    page.get_by_role("button", name="2 → 3").click()
    expect(page.locator("#legend li")).to_have_count(3)
    moved = re.search(r"(\d+) % of all keys moves", page.locator("#ring-words").inner_text())
    assert moved is not None
    assert 28 <= int(moved[1]) <= 39
    expect(page.locator("#drawing .moved")).to_have_count(2)
    page.get_by_role("button", name="Now").click()
    expect(page.locator("#legend li")).to_have_count(2)


def test_only_this_machine_reads_it_and_only_its_own_files_run_in_it(chat: UpProcess) -> None:
    port = int(console_of(chat).rsplit(":", 1)[1].rstrip("/"))

    def ask(path: str, host: str | None = None, method: str = "GET") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, headers={} if host is None else {"Host": host})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    answer = ask("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ask("/", host=f"rebound.example:{port}").status == 421
    assert ask("/api/state", method="POST").status == 405
    assert ask("/../site.py").status == ask("/page/index.html").status == ask("/api/nothing").status == 404
    assert ask("/api/traces?trace_id=x").status == ask("/api/ring?shards=0").status == 400
    elsewhere = http.client.HTTPConnection("127.0.0.2", port, timeout=10)
    with pytest.raises(ConnectionRefusedError):
        elsewhere.connect()


def test_a_failover_and_the_end_of_the_run_are_seen(page: playwright_api.Page, chat: UpProcess) -> None:
    box = page.locator("#shards > li", has_text="chat-redis-0")
    expect(box.locator(".server.primary")).to_contain_text("redis-0-0")
    chat.children()["redis-0-0"].kill()
    expect(box.locator(".server.primary.ready")).to_contain_text("redis-0-1", timeout=SLOW_MS)
    expect(box.locator(".server.replica.ready")).to_contain_text("redis-0-0", timeout=SLOW_MS)
    chat.signal(signal.SIGINT)
    expect(page.get_by_role("alert")).to_be_visible(timeout=SLOW_MS)
    assert chat.wait_for_end() == 0
