"""The example, run by `up` as a person runs it: two clients in two processes, through every kind of crash."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from tests.support.redis_process import redis_server_program
from tests.support.up_process import UpProcess, inherited
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.skipif(redis_server_program() is None, reason="no redis-server")

EXAMPLE = Path(__file__).parents[3] / "examples" / "chat"


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """The example's own resource, with files and database in a directory of the test."""
    here = tmp_path_factory.mktemp("chat")
    environment = {"DATABASE": str(here / "db.sqlite3")}
    subprocess.run(
        [sys.executable, str(EXAMPLE / "manage.py"), "migrate", "--verbosity", "0"],
        check=True,
        env=inherited() | environment,
    )
    with UpProcess(
        EXAMPLE / "gateway.yaml", environment=environment, directory=here / "run", output_directory=here
    ) as up:
        up.wait_until_ready()
        yield up
        if up.process.poll() is None:
            up.signal(signal.SIGINT)
            assert up.wait_for_end() == 0
        assert up.left_behind() == []


def connections(process: psutil.Process) -> int:
    words = process.cmdline()
    port = words[words.index("--admin-port") + 1]
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        found = re.search(r'realtime_gateway_connections\{protocol="websocket"\} (\d+)', response.read().decode())
    return int(found.group(1)) if found else 0


def client_on(up: UpProcess, gateway: str, stack: ExitStack) -> ClientConnection:
    """Connect until a connection lands in the process of that name."""
    process = up.children()[gateway]
    for _ in range(100):
        before = connections(process)
        opened = connect(
            f"ws://127.0.0.1:{up.port}/ws/chat/lobby/", origin=f"http://127.0.0.1:{up.port}", open_timeout=30
        )
        client = opened.__enter__()
        if connections(process) > before:
            stack.push(opened)
            return client
        opened.__exit__(None, None, None)
    raise AssertionError(f"no connection landed in {gateway}")


def say(client: ClientConnection, text: str) -> None:
    client.send(json.dumps({"message": text}))


def hears(client: ClientConnection, text: str) -> bool:
    while json.loads(client.recv(timeout=30))["message"] != text:
        pass
    return True


def test_clients_in_two_processes_meet_and_a_failover_does_not_part_them(chat: UpProcess):
    with ExitStack() as stack:
        ours = client_on(chat, "gateway-0", stack)
        theirs = client_on(chat, "gateway-1", stack)
        say(ours, "hello")
        assert hears(theirs, "hello")
        said = len(chat.text)
        for shard in ("redis-0", "redis-1"):
            chat.children()[f"{shard}-0"].kill()
        say(ours, "during the failover")
        assert hears(theirs, "during the failover")
        assert hears(ours, "during the failover")
        for shard in (0, 1):
            chat.wait_for(f"failover: the primary of chat-redis-{shard} is chat-redis-{shard}-1 now", after=said)
            chat.wait_for(f"chat-redis-{shard}-0 is back", after=said)
        say(theirs, "after it")
        assert hears(ours, "after it")


def test_a_killed_worker_is_back_when_it_has_reported_to_a_shard(chat: UpProcess):
    said = len(chat.text)
    before = chat.children()["worker-receipts-0"]
    before.kill()
    chat.wait_for("chat-worker-receipts-0 is back", after=said)
    assert chat.children()["worker-receipts-0"].pid != before.pid


def test_a_killed_gateway_takes_its_own_clients_only(chat: UpProcess):
    with ExitStack() as stack:
        staying = client_on(chat, "gateway-0", stack)
        said = len(chat.text)
        chat.children()["gateway-1"].kill()
        say(staying, "still here")
        assert hears(staying, "still here")
        chat.wait_for("chat-gateway-1 is back", after=said)
        back = client_on(chat, "gateway-1", stack)
        say(back, "here again")
        assert hears(staying, "here again")
