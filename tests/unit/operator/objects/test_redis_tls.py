"""The script around servers and Sentinels, with real ones: files that are replaced are used, without a hand."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import resources
from pathlib import Path

import psutil
import pytest
from tests.support.authority import EXPIRED, Authority
from tests.support.conditions import wait_until
from tests.support.redis_process import RedisProcess, SentinelProcess

from realtime_operator.objects import redis_tls

SCRIPT = resources.files("realtime_operator.objects") / "scripts" / "with_renewed_certificates.sh"
NAME = "chat-redis.talk.svc"
PASSWORD = "of the pod"
SECONDS = 20.0


class Watched:
    """Put before a server's command: the script of a pod."""

    def __init__(self, server: RedisProcess, tls: Path, **environment: str) -> None:
        self.server = server
        self._environment = {"TLS": str(tls), "PERIOD": "0.1", "REDISCLI_AUTH": PASSWORD, **environment}

    def __enter__(self) -> subprocess.Popen[bytes]:
        assert self.server.program
        words = [f"{name}={value}" for name, value in self._environment.items()]
        command = ["env", *words, "sh", str(SCRIPT), *self.server.command(self.server.program)]
        log = (self.server.directory / "log").open("wb")
        self.server.process = subprocess.Popen(command, cwd=self.server.directory, stdout=log, stderr=log)
        log.close()
        wait_until(self.server.answers, SECONDS)
        return self.server.process

    def __exit__(self, *error: object) -> None:
        assert self.server.process is not None
        ended = self.server.process.poll() is not None
        watchers = [] if ended else psutil.Process(self.server.process.pid).children()
        assert ended or watchers
        self.server.stop()
        _, left = psutil.wait_procs(watchers, SECONDS)
        assert not left, "the script goes on without its server"


def served(port: int) -> bytes:
    """The certificate that a server shows."""
    return ssl.get_server_certificate(("127.0.0.1", port)).encode()


def shows(server: RedisProcess, directory: Path) -> bool:
    # A server that asks for a certificate ends TLS 1.3 after it has shown its own.
    return served(server.port).split() == (directory / "tls.crt").read_bytes().split()


@contextmanager
def a_server(tmp_path: Path, tls: Path, client: Path) -> Iterator[RedisProcess]:
    socket = tmp_path / "redis.sock"
    access = tmp_path / "users.acl"
    access.write_text(f"user default on nopass ~* &* +@all\nuser pod on >{PASSWORD.replace(' ', '_')} +config|set\n")
    server = RedisProcess("--unixsocket", str(socket), "--aclfile", str(access), tls=tls, tls_client=client)
    with Watched(server, tls, SOCKET=str(socket), REDISCLI_AUTH=PASSWORD.replace(" ", "_")):
        yield server


def test_a_server_shows_the_renewed_certificate_and_keeps_its_connections(tmp_path: Path) -> None:
    authority = Authority()
    tls, client = authority.issue(tmp_path / "tls", NAME), authority.issue(tmp_path / "client", "gateway")
    with a_server(tmp_path, tls, client) as server, server.client as connected:
        before = connected.client_id()
        assert shows(server, tls)
        authority.issue(tls, NAME)
        wait_until(lambda: shows(server, tls), SECONDS)
        assert connected.client_id() == before


def test_a_certificate_that_had_expired_is_replaced_all_the_same(tmp_path: Path) -> None:
    authority = Authority()
    tls, client = (
        authority.issue(tmp_path / "tls", NAME, valid=EXPIRED),
        authority.issue(tmp_path / "client", "gateway"),
    )
    with a_server(tmp_path, tls, client) as server:
        authority.issue(tls, NAME)
        wait_until(lambda: shows(server, tls), SECONDS)


def test_files_that_do_not_belong_together_are_told_of_and_the_old_ones_stay(tmp_path: Path) -> None:
    authority = Authority()
    tls, client = authority.issue(tmp_path / "tls", NAME), authority.issue(tmp_path / "client", "gateway")
    with a_server(tmp_path, tls, client) as server:
        before, key = served(server.port), (tls / "tls.key").read_bytes()
        other = authority.issue(tmp_path / "other", NAME)
        (tls / "tls.key").write_bytes((other / "tls.key").read_bytes())
        wait_until(lambda: "cannot be taken into use" in (server.directory / "log").read_text(), SECONDS)
        assert served(server.port) == before
        authority.issue(tls, NAME)
        assert (tls / "tls.key").read_bytes() != key
        wait_until(lambda: shows(server, tls), SECONDS)


@pytest.mark.parametrize("valid", [None, EXPIRED], ids=["in time", "after it had expired"])
def test_a_sentinel_ends_in_order_to_be_started_with_the_renewed_one(
    tmp_path: Path, valid: tuple[timedelta, timedelta] | None
) -> None:
    authority = Authority()
    tls, client = authority.issue(tmp_path / "tls", NAME), authority.issue(tmp_path / "client", "gateway")
    if valid:
        authority.issue(tls, NAME, valid=valid)
    with RedisProcess() as primary:
        sentinel = SentinelProcess({"chat": primary}, tls=tls, tls_client=client)
        said = {"SENTINEL": "chat-sentinel-0", "PORT": str(sentinel.port), "ACCOUNT": "default", "REDISCLI_AUTH": ""}
        with Watched(sentinel, tls, SOCKET="unused", **said) as process:
            other = authority.issue(tmp_path / "other", NAME)
            whole = (tls / "tls.key").read_bytes()
            (tls / "tls.key").write_bytes((other / "tls.key").read_bytes())
            wait_until(lambda: "cannot be taken into use" in (sentinel.directory / "log").read_text(), SECONDS)
            assert process.poll() is None  # it could not start again with these
            (tls / "tls.key").write_bytes(whole)
            authority.issue(tls, NAME)
            assert process.wait(SECONDS) == 0


@contextmanager
def among(tmp_path: Path, others: int, **more: str) -> Iterator[tuple[SentinelProcess, subprocess.Popen[bytes]]]:
    """A Sentinel among so many others, of which nobody answers, and whose certificate has just been renewed."""
    authority = Authority()
    tls, client = authority.issue(tmp_path / "tls", NAME), authority.issue(tmp_path / "client", "gateway")
    with RedisProcess() as primary:
        sentinel = SentinelProcess({"chat": primary}, tls=tls, tls_client=client)
        addresses = tmp_path / "addresses"
        lines = [f"chat-sentinel-{number}=127.0.0.{number + 1}\n" for number in range(others + 1)]
        addresses.write_text("".join(["chat-redis-0-0=127.0.0.9\n", *lines]))
        said = {"SENTINEL": "chat-sentinel-0", "PORT": str(sentinel.port), "ACCOUNT": "default", "REDISCLI_AUTH": ""}
        with Watched(sentinel, tls, SOCKET="unused", ADDRESSES=str(addresses), **said, **more) as process:
            authority.issue(tls, NAME)
            yield sentinel, process


@contextmanager
def another(sentinel: SentinelProcess, host: str) -> Iterator[None]:
    """In another Sentinel's place, who only has to answer PING."""
    other = RedisProcess("--bind", host, port=sentinel.port, tls=sentinel.tls)
    other.spawn()
    try:
        yield
    finally:
        other.stop()


def test_a_sentinel_does_not_end_while_a_majority_would_not_stay(tmp_path: Path) -> None:
    with among(tmp_path, others=2) as (sentinel, process), another(sentinel, "127.0.0.2"):
        log = sentinel.directory / "log"
        wait_until(lambda: "the Sentinel at 127.0.0.3 does not answer" in log.read_text(), SECONDS)
        assert process.poll() is None
        with another(sentinel, "127.0.0.3"):
            assert process.wait(SECONDS) == 0


def test_a_sentinel_that_is_gone_keeps_nobody_where_a_majority_stays(tmp_path: Path) -> None:
    with (
        among(tmp_path, others=4) as (sentinel, process),
        another(sentinel, "127.0.0.2"),
        another(sentinel, "127.0.0.3"),
        another(sentinel, "127.0.0.4"),
    ):
        assert process.wait(SECONDS) == 0


def test_a_sentinel_that_is_gone_for_good_keeps_the_others_for_some_time_only(tmp_path: Path) -> None:
    with among(tmp_path, others=2, PATIENCE="2") as (sentinel, process):
        assert process.wait(SECONDS) == 0
        assert "the Sentinel at 127.0.0.2 does not answer" in (sentinel.directory / "log").read_text()


def test_the_pods_script_is_where_its_settings_say() -> None:
    assert f"tls=${{TLS:-{redis_tls.DIRECTORY}}}" in SCRIPT.read_text()
