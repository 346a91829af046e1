"""A real browser on the example: log in, chat between two processes, get a notification, survive a restart.

What it saw is left in tests/artefacts/, wide and as on a phone.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.support.chromium import NEEDS_CHROMIUM, WIDE, take_pictures
from tests.support.conditions import wait_until
from tests.support.example_project import APPLICATION, DIRECTORY, ExampleProject
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess
from tests.support.server_process import PYTHON, ServerProcess

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = NEEDS_CHROMIUM


@dataclass(frozen=True)
class Gateway:
    """One `serve` process: its port, shared with the other, and its admin port."""

    process: ServerProcess
    admin_port: int

    def websockets(self) -> int:
        """How many WebSockets it holds, from its /metrics."""
        page = httpx.get(f"http://127.0.0.1:{self.admin_port}/metrics", trust_env=False).text
        found = re.search(r'^realtime_gateway_connections\{protocol="websocket"\} (\S+)$', page, re.MULTILINE)
        return int(float(found[1])) if found else 0


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[list[Gateway]]:
    """Two processes on one port, over two shards."""
    port = free_port()
    with ExitStack() as stack:
        shards = [stack.enter_context(RedisProcess()) for _ in range(2)]
        cache = stack.enter_context(RedisProcess())
        urls = ",".join(shard.url for shard in shards)
        project = ExampleProject(tmp_path, environment={"REDIS_URL": urls, "CACHE_URL": cache.url})
        yield [stack.enter_context(gateway_process(project, port)) for _ in range(2)]


@contextmanager
def gateway_process(project: ExampleProject, port: int) -> Iterator[Gateway]:
    """Run one `serve` process, ready when its admin port says so."""
    admin_port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--reuse-port", "--drain-seconds", "1"]
    command = [PYTHON, "-m", "realtime_gateway.cli.main", "serve", *options, "--admin-port", str(admin_port)]
    process = ServerProcess(
        lambda _: [*command, APPLICATION],
        DIRECTORY,
        project.environment,
        port=port,
        ready="/readyz",
        ready_port=admin_port,
    )
    with process:
        yield Gateway(process, admin_port)


class Windows:
    """Browser windows, each with cookies of its own; notes every error that a page reports."""

    def __init__(self, browser: playwright_api.Browser, url: str) -> None:
        self.browser = browser
        self.url = url
        self.errors: list[str] = []
        self.contexts: list[playwright_api.BrowserContext] = []

    def open(self, path: str) -> playwright_api.Page:
        context = self.browser.new_context(base_url=self.url, viewport=WIDE)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)
        page.goto(path)
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()

    def _note(self, message: playwright_api.ConsoleMessage) -> None:
        # A socket that finds nobody while a process is away is what the page is made for; Django's admin has no icon.
        where = message.location["url"]
        if message.type == "error" and not (message.text.startswith("WebSocket") or where.endswith("/favicon.ico")):
            self.errors.append(f"{message.text} ({where})")


@pytest.fixture
def windows(browser: playwright_api.Browser, gateways: list[Gateway]) -> Iterator[Windows]:
    opened = Windows(browser, gateways[0].process.url)
    yield opened
    opened.close()
    assert not opened.errors


def say(page: playwright_api.Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def expect_line(page: playwright_api.Page, text: str) -> None:
    playwright_api.expect(page.locator("#log li", has_text=text)).to_have_count(1)


def expect_connected(page: playwright_api.Page) -> None:
    playwright_api.expect(page.get_by_role("button", name="Send")).to_be_enabled()


def log_in(page: playwright_api.Page, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(name)
    page.get_by_role("button", name="Log in").click()


def open_rooms_in_both(windows: Windows, gateways: list[Gateway]) -> tuple[playwright_api.Page, playwright_api.Page]:
    """Open one window, then a second one, again and again until its socket is in the other process."""
    first = windows.open("/chat/tea/")
    expect_connected(first)
    wait_until(lambda: sum(gateway.websockets() for gateway in gateways) == 1)
    second = windows.open("/chat/tea/")
    for _ in range(50):
        expect_connected(second)
        wait_until(lambda: sum(gateway.websockets() for gateway in gateways) == 2)
        if all(gateway.websockets() == 1 for gateway in gateways):
            return first, second
        second.reload()
    raise AssertionError("the second window's socket was always in the first window's process")


def test_two_windows_in_two_processes_share_a_room_and_outlive_a_restart(
    windows: Windows, gateways: list[Gateway]
) -> None:
    first, second = open_rooms_in_both(windows, gateways)
    say(first, "Is there any tea on this spaceship?")
    expect_line(second, "Is there any tea on this spaceship?")
    say(second, "<b>Yes</b>: " + "tea" * 60)
    expect_line(first, "<b>Yes</b>")
    take_pictures(first, "room")

    assert gateways[1].process.process is not None
    gateways[1].process.process.send_signal(signal.SIGTERM)
    gateways[1].process.process.wait(20)
    wait_until(lambda: gateways[0].websockets() == 2, 30)
    expect_connected(first)
    expect_connected(second)
    say(first, "Still there?")
    expect_line(second, "Still there?")


def test_a_change_in_the_admin_is_a_notification_on_the_users_page(windows: Windows) -> None:
    user = windows.open("/")
    user.get_by_role("link", name="Log in").first.click()
    take_pictures(user, "login")
    log_in(user, "demo")
    status = user.locator("[data-order='1']")
    playwright_api.expect(status).to_have_text("Placed")

    admin = windows.open("/admin/chat/order/1/change/")
    admin.get_by_label("Username").fill("admin")
    admin.get_by_label("Password").fill("admin")
    admin.get_by_role("button", name="Log in").click()
    admin.get_by_label("Status").select_option("shipped")
    admin.get_by_role("button", name="Save", exact=True).click()
    playwright_api.expect(admin.get_by_text("was changed successfully")).to_be_visible()

    playwright_api.expect(user.get_by_role("status")).to_contain_text("Your order “A blue teapot” is shipped.")
    playwright_api.expect(status).to_have_text("Shipped")
    playwright_api.expect(user.locator("#visits")).to_have_text(re.compile(r"^\d+$"))
    take_pictures(user, "home")
    take_pictures(admin, "admin")


CLOSED_AGAIN_AND_AGAIN = """
([code, reason]) => {
  const delays = [];
  let socket = null;
  window.WebSocket = function () { socket = this; };
  window.setTimeout = (connect, delay) => { delays.push(delay); connect(); };
  Math.random = () => 1;
  openSocket("/", () => {});
  for (let time = 0; time < 5; time++) socket.onclose({code, reason});
  return delays;
}
"""


@pytest.mark.parametrize(
    ("code", "reason", "delays"),
    [
        (1012, "connected for too long", [1000] * 5),
        (1012, "server restarting; reconnect in 7 s", [7000] * 5),
        (1006, "", [500, 1000, 2000, 4000, 8000]),
    ],
)
def test_a_page_comes_back_soon_after_an_end_in_order_and_later_each_time_after_a_failure(
    browser: playwright_api.Browser, code: int, reason: str, delays: list[int]
) -> None:
    page = browser.new_page()
    page.route("**", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto("http://127.0.0.1:9/")
    page.add_script_tag(path=DIRECTORY / "chat" / "static" / "chat" / "socket.js")
    assert page.evaluate(CLOSED_AGAIN_AND_AGAIN, [code, reason]) == delays
    page.close()
