"""Whatever is killed comes back, and that is said: one run, one crash after the other."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import psutil
import pytest
import redis as redis_client
from tests.integration.local.conftest import echoes, serving, writer
from tests.support.redis_process import redis_server_program
from tests.support.up_process import UpProcess, until

pytestmark = pytest.mark.skipif(redis_server_program() is None, reason="no redis-server")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """A shard with two replicas, as the resource has it by default, so that its primaries insist on one."""
    write = writer(tmp_path_factory.mktemp("crashes"))
    with UpProcess(write(replicas="2", redis="{managed: {shards: 1, replicas: 2, sentinels: 3}}")) as running:
        running.wait_until_ready()
        yield running
        running.signal(signal.SIGINT)
        assert running.wait_for_end() == 0
        assert running.left_behind() == []


def redis_of(process: psutil.Process) -> redis_client.Redis:
    words = process.cmdline()
    port = next(int(found.group(1)) for word in words if (found := re.search(r":(\d+)$", word)))
    return redis_client.Redis(port=port, socket_timeout=5)


def servers(up: UpProcess) -> dict[str, str]:
    """Return the names of the shard's servers by role; a replica is one that has its data."""
    roles = {}
    for name, process in up.children().items():
        if name.startswith("redis-"):
            with redis_of(process) as client:
                told = client.info("replication")
            linked = told["role"] == "master" or told["master_link_status"] == "up"
            roles[name] = str(told["role"]) if linked else "loading"
    return roles


def primary(up: UpProcess) -> str:
    [name] = [name for name, role in servers(up).items() if role == "master"]
    return name


def kill(up: UpProcess, *names: str) -> int:
    """Kill children, and return the length of the output before it."""
    said = len(up.text)
    children = up.children()
    for name in names:
        children[name].kill()
    return said


def test_a_killed_gateway_is_started_again_and_that_is_said(up: UpProcess):
    said = kill(up, "gateway-1")
    up.wait_for(r"tiny-gateway-1 ended by SIGKILL; it is started again in 0\.5 s", after=said)
    assert echoes(up)
    up.wait_for("tiny-gateway-1 is back", after=said)
    assert serving(up) == {"tiny-gateway-0", "tiny-gateway-1"}


def test_a_gateway_that_cannot_come_back_says_why_and_is_tried_again_later_each_time(up: UpProcess):
    application = up.file.parent / "tiny.py"
    working = application.read_text()
    application.write_text("raise RuntimeError('not today')")
    said = kill(up, "gateway-0")
    waits = [
        float(up.wait_for(rf"(?s)(?:tiny-gateway-0 ended.*?){{{n}}}again in (\S+) s", after=said)[1]) for n in (1, 2)
    ]
    assert waits[1] == 2 * waits[0]
    assert "not today" in up.text[said:]
    application.write_text(working)
    up.wait_for("tiny-gateway-0 is back", after=said)
    assert echoes(up)


def test_a_killed_sentinel_comes_back(up: UpProcess):
    said = kill(up, "sentinel-1")
    up.wait_for("tiny-sentinel-1 is back", after=said)


def test_a_killed_primary_fails_over_keeps_its_data_and_comes_back_as_a_replica(up: UpProcess):
    values = {}
    for _ in range(2):  # the second time, the one that came back may be chosen
        lost = primary(up)
        with redis_of(up.children()[lost]) as client:
            values[lost] = "kept"
            client.set(lost, "kept")
            assert client.wait(2, 10_000) == 2
        said = kill(up, lost)
        chosen = up.wait_for(r"failover: the primary of tiny-redis-0 is tiny-(\S+) now", after=said)[1]
        assert chosen != lost
        up.wait_for(f"tiny-{lost} is back", after=said)
        until(lambda: sorted(servers(up).values()) == ["master", "slave", "slave"], 30, "one primary, two replicas")
        assert primary(up) == chosen
        with redis_of(up.children()[chosen]) as client:
            assert {name: client.get(name) for name in values} == dict.fromkeys(values, b"kept")


def test_a_shard_whose_servers_were_all_killed_comes_back_and_says_that_it_is_empty(up: UpProcess):
    names = [name for name in up.children() if name.startswith("redis-")]
    said = kill(up, *names)
    up.wait_for("what tiny-redis-0 held is lost", after=said)
    for name in names:
        up.wait_for(f"tiny-{name} is back", after=said)
    until(lambda: sorted(servers(up).values()) == ["master", "slave", "slave"], 30, "one primary, two replicas")
