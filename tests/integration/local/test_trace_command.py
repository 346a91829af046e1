"""`realtime-gateway trace` through a run of `up`, and through gateways that were started by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.telemetry.conftest import redis_server, serve  # noqa: F401  (fixtures)
from tests.support.redis_process import redis_server_program
from tests.support.traced_processes import Serve
from tests.support.up_process import UpProcess, running_example

needs_redis = pytest.mark.skipif(redis_server_program() is None, reason="no redis-server")

Trace = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "realtime_gateway.cli.main", "trace", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)

    return run


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    with running_example(tmp_path_factory.mktemp("chat")) as up:
        yield up


def steps(printed: str) -> list[str]:
    """The names in a printed tree, without what draws it."""
    return re.findall(r"[█·]{24}  [│├└─ ]*(\S+(?: \S+)?)", printed)


@needs_redis
def test_one_message_through_the_example_prints_every_step_with_times(chat: UpProcess, trace: Trace) -> None:
    done = trace(str(chat.directory), "--path", "/ws/chat/lobby/")
    assert done.returncode == 0, done.stderr
    assert steps(done.stdout)[:2] == ["GET", "ChatConsumer.websocket_connect"]
    assert [step for step in steps(done.stdout)[2:] if step != "EVALSHA publish"] == [
        "websocket receive",
        "ChatConsumer.websocket_receive",
        "publish chat_{name}",
        "deliver chat_{name}",
        "ChatConsumer.chat_message",
        "websocket send",
    ]
    assert "EVALSHA publish" in done.stdout
    assert re.search(r"deliver chat_\{name\} .* chat-gateway-\d  to 1, ", done.stdout)
    assert "status 101" in done.stdout


@needs_redis
def test_what_the_gateway_refuses_is_said_with_its_status(chat: UpProcess, trace: Trace) -> None:
    origin = trace(str(chat.directory), "--path", "/ws/chat/lobby/", "--origin", "https://elsewhere.example")
    assert origin.returncode == 1
    assert "answers 403" in origin.stderr
    no_route = trace(str(chat.directory), "--path", "/no/such/consumer/")
    assert no_route.returncode == 1
    assert "answers 500" in no_route.stderr
    assert "Traceback" not in origin.stderr + no_route.stderr


@needs_redis
def test_processes_that_keep_spans_are_read_by_their_admin_ports(serve: Serve, trace: Trace) -> None:  # noqa: F811
    a = serve("a", more={"recentSpans": 200})
    url, admin = f"{a.websocket_url}/chat/lobby/", f"http://127.0.0.1:{a.admin_port}"
    done = trace(url, "--admin", admin, "--text", "hello", "--origin", "")
    assert done.returncode == 0, done.stderr
    assert "websocket send" in steps(done.stdout)
    assert "hello" not in done.stdout
    assert a.admin("traces?trace_id=nonsense")[0] == 400


@needs_redis
def test_processes_that_keep_none_are_told_how_to(serve: Serve, trace: Trace) -> None:  # noqa: F811
    a = serve("a")
    url, admin = f"{a.websocket_url}/chat/lobby/", f"http://127.0.0.1:{a.admin_port}"
    done = trace(url, "--admin", admin, "--origin", "", "--wait", "1")
    assert done.returncode == 1
    assert "no process keeps spans" in done.stderr
    assert "telemetry.recentSpans" in done.stderr
