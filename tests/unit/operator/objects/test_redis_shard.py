"""The scripts by which a server's pod starts and ends, with real servers and Sentinels."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from itertools import count
from pathlib import Path
from threading import Event, Thread

import pytest
import redis
from tests.support.conditions import wait_until
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess, SentinelProcess

from realtime_operator.objects.accounts import SENTINEL_RIGHTS, SERVER_RIGHTS

SCRIPTS = resources.files("realtime_operator.objects") / "scripts"
SECONDS = 20.0
PASSWORD = "of-the-pod"
SERVER, MASTER = "chat-redis-0-0", "chat"
# Where nobody listens.
NOWHERE = "127.0.0.9"


def account(path: Path, rights: str) -> str:
    """An access list with the pod's account, and everything for whoever does not say who it is."""
    path.write_text(f"user default on nopass ~* &* +@all\nuser pod on >{PASSWORD} {rights}\n")
    return str(path)


def addresses(tmp_path: Path, own: str, *sentinels: str) -> dict[str, str]:
    """What a script reads of itself and of Sentinels at these addresses."""
    names = [f"chat-sentinel-{number}" for number in range(len(sentinels))]
    lines = [f"{name}={address}\n" for name, address in zip((SERVER, *names), (own, *sentinels), strict=True)]
    (tmp_path / "addresses").write_text("".join(lines))
    told = {"SERVER": SERVER, "MASTER": MASTER, "SENTINELS": " ".join(names)}
    return {**os.environ, **told, "ADDRESSES": str(tmp_path / "addresses"), "REDISCLI_AUTH": PASSWORD}


@contextmanager
def watching(tmp_path: Path, primary: RedisProcess | None) -> Iterator[SentinelProcess]:
    """A Sentinel that watches a primary, or none."""
    rights = account(tmp_path / "sentinel.acl", SENTINEL_RIGHTS["pod"])
    monitors = {} if primary is None else {MASTER: primary}
    with SentinelProcess(monitors, options=(f"aclfile {rights}",)) as sentinel:
        yield sentinel  # type: ignore[misc] # __enter__ of its base


# --- the start
class Starting:
    """A server that start_redis.sh starts, on a port of its own."""

    def __init__(self, tmp_path: Path, environment: dict[str, str]) -> None:
        self.server = RedisProcess(port=free_port())
        configuration = tmp_path / "redis.conf"
        configuration.write_text(f"port {self.server.port}\ndir {tmp_path}\nsave ''\n")
        places = {"CONFIG": str(configuration), "RUN": str(tmp_path / "run"), "DATA": str(tmp_path)}
        self.log = tmp_path / "log"
        with self.log.open("wb") as log:
            command = ["sh", str(SCRIPTS / "start_redis.sh")]
            self.server.process = subprocess.Popen(command, env={**environment, **places}, stdout=log, stderr=log)

    def role(self) -> tuple[bytes, ...]:
        """What the server says it is, as soon as it answers."""
        wait_until(self.server.answers, SECONDS)
        with self.server.client as client:
            found = client.execute_command("ROLE")
        return tuple(found[:2])

    def said(self) -> str:
        return self.log.read_text()


@contextmanager
def starting(tmp_path: Path, environment: dict[str, str]) -> Iterator[Starting]:
    started = Starting(tmp_path, environment)
    try:
        yield started
    finally:
        started.server.stop()


def test_a_server_starts_as_the_replica_of_whom_the_sentinels_name(tmp_path: Path) -> None:
    with RedisProcess() as primary, watching(tmp_path, primary) as sentinel:
        environment = addresses(tmp_path, "127.0.0.2", "127.0.0.1", "127.0.0.1", NOWHERE)
        with starting(tmp_path, {**environment, "PORT": str(sentinel.port)}) as started:
            assert started.role() == (b"slave", b"127.0.0.1")
            assert "replica of 127.0.0.1" in started.said()


def test_a_server_whom_no_sentinel_knows_is_parked(tmp_path: Path) -> None:
    with watching(tmp_path, None) as sentinel:
        environment = addresses(tmp_path, "127.0.0.2", "127.0.0.1", "127.0.0.1", NOWHERE)
        with starting(tmp_path, {**environment, "PORT": str(sentinel.port)}) as started:
            assert started.role() == (b"slave", b"127.0.0.1")
            assert "the Sentinels know no primary" in started.said()


def test_a_server_without_data_lets_another_be_the_primary_before_it_listens(tmp_path: Path) -> None:
    with RedisProcess() as primary, RedisProcess() as replica:
        with replica.client as client:
            client.replicaof("127.0.0.1", primary.port)
        with watching(tmp_path, primary) as sentinel:
            wait_until(lambda: can_fail_over(sentinel), SECONDS)
            environment = addresses(tmp_path, "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1")
            with starting(tmp_path, {**environment, "PORT": str(sentinel.port)}) as started:
                wait_until(lambda: replica.info("replication")["role"] == "master", SECONDS)
                assert not started.said(), "all addresses are the same here, so it never hears of another"
                assert not started.server.answers()


def test_silent_sentinels_are_not_taken_for_ones_that_know_nothing(tmp_path: Path) -> None:
    """A server that is parked where a primary was looks alive to Sentinels, which then put off their failover."""
    with watching(tmp_path, None) as sentinel:
        sentinel.pause()
        environment = addresses(tmp_path, "127.0.0.2", "127.0.0.1", "127.0.0.1", "127.0.0.1")
        with starting(tmp_path, {**environment, "PORT": str(sentinel.port), "PATIENCE": "4"}) as started:
            assert started.role() == (b"slave", b"127.0.0.1")
            assert "too few Sentinels answer or agree" in started.said()
        sentinel.resume()


# --- the end
@pytest.fixture
def shard(tmp_path: Path) -> Iterator[tuple[RedisProcess, RedisProcess, SentinelProcess]]:
    """A primary with a replica, and a Sentinel that could fail over."""
    with ExitStack() as stack:
        rights = account(tmp_path / "users.acl", SERVER_RIGHTS["pod"])
        socket = str(tmp_path / "redis.sock")
        primary = stack.enter_context(RedisProcess("--unixsocket", socket, "--aclfile", rights))
        replica = RedisProcess().start_as_replica_of(primary)
        stack.callback(replica.stop)
        sentinel = stack.enter_context(watching(tmp_path, primary))
        wait_until(lambda: can_fail_over(sentinel), SECONDS)
        yield primary, replica, sentinel


def can_fail_over(sentinel: SentinelProcess) -> bool:
    with sentinel.client as client:
        replicas = client.sentinel_slaves(MASTER)
    return any(one["master-link-status"] == "ok" for one in replicas)


def hand_over(tmp_path: Path, sentinel: SentinelProcess, **more: str) -> subprocess.CompletedProcess[str]:
    environment = addresses(tmp_path, "127.0.0.1", NOWHERE, "127.0.0.1")
    said = {"PORT": str(sentinel.port), "SOCKET": str(tmp_path / "redis.sock"), **more}
    command = ["sh", str(SCRIPTS / "hand_over.sh")]
    return subprocess.run(command, env={**environment, **said}, capture_output=True, text=True, check=False)


class Writer:
    """Writes numbers to a primary as fast as it takes them, and keeps which it acknowledged."""

    def __init__(self, primary: RedisProcess) -> None:
        self.acknowledged: list[int] = []
        self._client = primary.new_client(retry=None)
        self._ended = Event()
        self._thread = Thread(target=self._write)

    def _write(self) -> None:
        for number in count():
            try:
                self._client.rpush("numbers", number)
            except redis.RedisError:
                return
            self.acknowledged.append(number)
            if self._ended.is_set():
                return

    def __enter__(self) -> Writer:
        self._thread.start()
        wait_until(lambda: self.acknowledged, SECONDS)
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._client.close()


Shard = tuple[RedisProcess, RedisProcess, SentinelProcess]


def test_a_primary_hands_over_and_nothing_acknowledged_is_lost(tmp_path: Path, shard: Shard) -> None:
    primary, replica, sentinel = shard
    with Writer(primary) as writer:
        done = hand_over(tmp_path, sentinel)
        assert (done.returncode, done.stderr) == (0, "")
    assert primary.info("replication")["master_port"] == replica.port
    assert replica.info("replication")["role"] == "master"
    with replica.client as client:
        kept = set(map(int, client.lrange("numbers", 0, -1)))
    assert set(writer.acknowledged) <= kept


def test_a_replica_has_nothing_to_hand_over(tmp_path: Path, shard: Shard) -> None:
    primary, replica, sentinel = shard
    assert hand_over(tmp_path, sentinel).returncode == 0
    wait_until(lambda: primary.info("replication")["master_link_status"] == "up", SECONDS)
    assert hand_over(tmp_path, sentinel).returncode == 0
    assert replica.info("replication")["role"] == "master"


def test_without_a_sentinel_it_goes_on_as_the_primary_and_takes_writes(tmp_path: Path, shard: Shard) -> None:
    primary, _, sentinel = shard
    sentinel.kill()
    assert hand_over(tmp_path, sentinel).returncode == 0
    with primary.client as client:
        assert client.set("still", "written")


def test_without_a_replica_in_step_it_takes_writes_again(tmp_path: Path, shard: Shard) -> None:
    primary, replica, sentinel = shard
    replica.pause()
    with primary.client as client:
        client.set("not", "copied")
    done = hand_over(tmp_path, sentinel, SECONDS_TO_HAND_OVER="1")
    assert done.returncode == 1
    assert "no replica has all that was written" in done.stderr
    with primary.client as client:
        assert client.set("still", "written")
    assert primary.info("replication")["role"] == "master"
    replica.resume()
