"""Shards by TLS, with certificates from a directory as a Secret is mounted: how they are named, used and renewed."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.authority import Authority
from tests.support.redis_process import RedisProcess, SentinelProcess

from realtime_gateway.errors import ShardUnavailable
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.local.redis_questions import ping_refusal

Make = Callable[..., RedisChannelLayer]
NAME = "chat-redis.talk.svc"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the environment names."""
    monkeypatch.setenv("REALTIME_GATEWAY_REDIS_TLS_DIRECTORY", str(tmp_path / "mounted"))
    monkeypatch.setenv("REALTIME_GATEWAY_REDIS_TLS_NAME", NAME)
    return tmp_path / "mounted"


async def hears_itself(layer: RedisChannelLayer) -> bool:
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "hello"})
    async with asyncio.timeout(20):
        return bool(await layer.receive(channel) == {"type": "hello"})


async def test_a_server_and_sentinels_without_a_word_of_tls_are_spoken_to_by_it(
    directory: Path, make_layer: Make
) -> None:
    tls = Authority().issue(directory, NAME)
    with RedisProcess(tls=tls) as server, SentinelProcess({"chat": server}, tls=tls) as sentinel:
        assert await hears_itself(make_layer(server.address))
        assert await hears_itself(make_layer({"sentinels": [sentinel.address], "master_name": "chat"}))


async def test_a_url_may_say_all_of_it(tmp_path: Path, make_layer: Make) -> None:
    tls = Authority().issue(tmp_path, NAME)
    words = f"ssl_ca_certs={tls}/ca.crt&ssl_certfile={tls}/tls.crt&ssl_keyfile={tls}/tls.key&ssl_server_name={NAME}"
    with RedisProcess(tls=tls) as server:
        url = f"rediss://127.0.0.1:{server.port}/2?{words}&ssl_check_hostname=yes"
        assert await hears_itself(make_layer(url))
        assert await ping_refusal(url) is None  # before it starts anything, `up` asks whether the shards answer
        assert "Hostname mismatch" in str(await ping_refusal(url.replace(NAME, "other.test")))


async def test_renewed_certificates_are_those_of_the_next_connection(
    directory: Path, tmp_path: Path, make_layer: Make
) -> None:
    """Also of another authority: nothing of what was read before is kept."""
    old, new = Authority("old"), Authority("new")
    theirs = old.issue(tmp_path / "theirs", NAME)
    old.issue(directory, NAME)
    with RedisProcess(tls=theirs) as server:
        layer = make_layer(server.address)
        assert await hears_itself(layer)
        new.issue(theirs, NAME)
        new.issue(directory, NAME)
        server.restart()
        assert await hears_itself(layer)


async def test_a_file_that_is_missing_is_named_and_waited_for(
    directory: Path, tmp_path: Path, make_layer: Make
) -> None:
    authority = Authority()
    with RedisProcess(tls=authority.issue(tmp_path / "theirs", NAME)) as server:
        layer = make_layer(server.address, send_timeout=0.5)
        with pytest.raises(ShardUnavailable, match=f"certificates cannot be read .*{directory}/ca.crt"):
            await layer.group_send("room", {"type": "hello"})
        authority.issue(directory, NAME)
        async with asyncio.timeout(20):
            while True:
                with suppress(ShardUnavailable):
                    await layer.group_send("room", {"type": "hello"})
                    break


@pytest.fixture
def documented(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What docs/kubernetes.md makes by openssl."""
    directory.mkdir()
    document = (Path(__file__).parents[3] / "docs/kubernetes.md").read_text()
    commands = document[document.index("    openssl req -x509") : document.index("    kubectl -n shop create secret")]
    subprocess.run(["sh", "-ec", commands], cwd=directory, check=True, capture_output=True)
    monkeypatch.setenv("REALTIME_GATEWAY_REDIS_TLS_NAME", "chat-redis.shop.svc")
    return directory


async def test_certificates_as_the_document_makes_them(documented: Path, make_layer: Make) -> None:
    with RedisProcess(tls=documented) as server:
        assert await hears_itself(make_layer(server.address))
