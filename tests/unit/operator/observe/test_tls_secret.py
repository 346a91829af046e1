"""The Secret with Redis's certificates: looked up seldom, and a bad one replaces no good one."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from tests.support.authority import EXPIRED, Authority
from tests.support.free_port import free_port
from tests.support.operator_targets import target
from tests.support.redis_process import RedisProcess

from realtime_operator.kube.errors import KubeError
from realtime_operator.observe.redis_servers import Encryption, RedisServers
from realtime_operator.observe.tls_secret import ASK_AGAIN_IN_TROUBLE_SECONDS, ASK_AGAIN_SECONDS, TlsSecret
from realtime_operator.snapshot import Address, ObjectKey, Server, Unknown

ENCRYPTED = target({"redis": {"managed": {"tls": {"secretName": "chat-redis-tls"}}}})
NAME = "chat-redis.talk.svc"


class Api:
    """As much of the API server as is asked."""

    def __init__(self) -> None:
        self.secret: dict[str, Any] | None = None
        self.away = False
        self.asked: list[tuple[ObjectKey, str]] = []
        self.now = 0.0

    def hold(self, directory: Path | None, **changed: str) -> None:
        data = {} if directory is None else {one.name: encoded(one.read_bytes()) for one in directory.iterdir()}
        version = str(len(self.asked) + 1)
        self.secret = {"metadata": {"resourceVersion": version}, "data": {**data, **changed}}

    async def find(self, key: ObjectKey, namespace: str) -> dict[str, Any] | None:
        self.asked.append((key, namespace))
        if self.away:
            raise KubeError(0, "no answer")
        return self.secret


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def secret(api: Api) -> TlsSecret:
    return TlsSecret(api, lambda: api.now)  # type: ignore[arg-type]


async def test_a_resource_without_tls_costs_no_call(api: Api, secret: TlsSecret) -> None:
    assert await secret.look(target()) == ""
    assert secret.for_connections() is None
    assert api.asked == []


async def test_it_is_looked_up_once_a_minute_and_more_often_while_it_cannot_be_used(
    api: Api, secret: TlsSecret, tmp_path: Path
) -> None:
    assert await secret.look(ENCRYPTED) == "Secret chat-redis-tls does not exist."
    assert isinstance(secret.for_connections(), Unknown)  # never in plain
    api.now += ASK_AGAIN_IN_TROUBLE_SECONDS / 2
    assert await secret.look(ENCRYPTED) == "Secret chat-redis-tls does not exist."
    assert api.asked == [(ObjectKey("Secret", "chat-redis-tls"), "talk")]
    api.hold(Authority().issue(tmp_path, NAME))
    api.now += ASK_AGAIN_IN_TROUBLE_SECONDS
    assert await secret.look(ENCRYPTED) == ""
    assert isinstance(secret.for_connections(), Encryption)
    api.now += ASK_AGAIN_SECONDS - 1
    await secret.look(ENCRYPTED)
    assert len(api.asked) == 2
    api.now += 1
    await secret.look(ENCRYPTED)
    assert len(api.asked) == 3


BAD = {
    "a key that is missing": ({"tls.key": ""}, "lacks tls.key"),
    "text that is no base64": ({"tls.crt": "&&&"}, "cannot be used: it is not base64"),
    "what is no certificate": ({"ca.crt": encoded(b"hello")}, "cannot be used: "),
    "the key of another certificate": ({"tls.key": "other"}, "cannot be used: "),
}


@pytest.mark.parametrize("bad", BAD)
async def test_what_cannot_be_used_is_told_of_and_replaces_nothing(
    bad: str, api: Api, secret: TlsSecret, tmp_path: Path
) -> None:
    authority = Authority()
    api.hold(authority.issue(tmp_path / "good", NAME))
    await secret.look(ENCRYPTED)
    good = secret.for_connections()
    changed, trouble = BAD[bad]
    if changed.get("tls.key") == "other":
        changed = {"tls.key": encoded((authority.issue(tmp_path / "other", NAME) / "tls.key").read_bytes())}
    api.hold(tmp_path / "good", **changed)
    api.now += ASK_AGAIN_SECONDS
    assert trouble in await secret.look(ENCRYPTED)
    assert secret.for_connections() is good
    assert isinstance(good, Encryption)


async def test_an_api_server_that_is_away_takes_nothing_that_is_known(
    api: Api, secret: TlsSecret, tmp_path: Path
) -> None:
    api.away = True
    assert "cannot be looked up: no answer" in await secret.look(ENCRYPTED)
    api.away = False
    api.now += ASK_AGAIN_IN_TROUBLE_SECONDS
    api.hold(Authority().issue(tmp_path, NAME))
    assert await secret.look(ENCRYPTED) == ""
    api.away = True
    api.now += ASK_AGAIN_SECONDS
    assert await secret.look(ENCRYPTED) == ""
    assert isinstance(secret.for_connections(), Encryption)


async def test_an_api_server_in_trouble_is_asked_no_more_often(api: Api, secret: TlsSecret, tmp_path: Path) -> None:
    async def looks(count: int) -> int:
        before = len(api.asked)
        for _ in range(count):
            await secret.look(ENCRYPTED)
        return len(api.asked) - before

    api.away = True
    assert await looks(5) == 1
    api.now += ASK_AGAIN_IN_TROUBLE_SECONDS
    assert await looks(5) == 1
    api.away = False
    api.hold(Authority().issue(tmp_path, NAME))
    api.now += ASK_AGAIN_IN_TROUBLE_SECONDS
    assert await looks(5) == 1
    api.away = True
    api.now += ASK_AGAIN_SECONDS
    assert await looks(5) == 1


async def test_a_server_is_asked_by_tls_and_only_the_right_one_is_believed(
    api: Api, secret: TlsSecret, tmp_path: Path
) -> None:
    authority = Authority()
    ours = authority.issue(tmp_path / "ours", NAME)
    expired = authority.issue(tmp_path / "expired", NAME, valid=EXPIRED)
    another, strange = authority.issue(tmp_path / "another", "x.test"), Authority().issue(tmp_path / "strange", NAME)
    (tmp_path / "users.acl").write_text("user default on nopass ~* &* +@all\nuser operator on nopass ~* &* +@all\n")
    options = ("--aclfile", str(tmp_path / "users.acl"), "--tls-auth-clients", "no")
    servers = RedisServers(lambda: "any", secret.for_connections)

    async def said_by(tls: Path | None) -> Server | Unknown:
        with RedisProcess(*options, tls=tls, tls_client=ours if tls else None) as server:
            return await servers.server(Address("127.0.0.1", server.port))

    assert await secret.look(ENCRYPTED)
    said = await said_by(None)
    assert said == Unknown(f"{said.why.partition(': ')[0]}: Secret chat-redis-tls does not exist.")  # type: ignore[union-attr]
    api.hold(ours)
    api.now += ASK_AGAIN_SECONDS
    await secret.look(ENCRYPTED)
    assert isinstance(await said_by(ours), Server)
    for tls, why in ((expired, "has expired"), (another, "Hostname mismatch"), (strange, "certificate verify failed")):
        refused = await said_by(tls)
        assert isinstance(refused, Unknown)
        assert why in refused.why
        assert refused.tls_failed
    assert isinstance(await said_by(None), Unknown)
    nobody = await servers.server(Address("127.0.0.1", free_port()))
    assert isinstance(nobody, Unknown)
    assert not nobody.tls_failed
    await servers.close()
