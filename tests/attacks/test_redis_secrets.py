"""Whoever gets at Redis without its password, or without a key that is still one, says nothing to anybody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from realtime_gateway.errors import ShardRefused, ShardUnavailable
from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.telemetry import recorder
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

PASSWORD = "correct-horse-battery"
REMOVED, PRESENT = "removed-key-of-16-characters", "present-key-of-16-characters"


@asynccontextmanager
async def a_layer(server: RedisProcess, **options: Any) -> AsyncIterator[RedisChannelLayer]:
    address = {"host": "127.0.0.1", "port": server.port, "password": options.pop("password", None)}
    layer = RedisChannelLayer(hosts=[address], send_timeout=1, **options)
    try:
        yield layer
    finally:
        await layer.close()


async def next_said(layer: RedisChannelLayer, channel: str) -> str:
    async with asyncio.timeout(10):
        return str((await layer.receive(channel))["text"])


def said(text: str) -> dict[str, Any]:
    return {"type": "said", "text": text}


def put(path: Path, text: str) -> None:
    replacement = path.with_name("new")
    replacement.write_text(text)
    replacement.replace(path)


async def test_a_message_of_somebody_who_kept_a_key_that_was_removed_reaches_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys"
    put(file, f"{PRESENT}\n{REMOVED}\n")
    with RedisProcess() as server:
        async with (
            a_layer(server, encryption_keys_file=file, key_settle_seconds=0.1) as site,
            a_layer(server, symmetric_encryption_keys=[REMOVED]) as attacker,
        ):
            channel = await site.new_channel()
            await site.group_add("lobby", channel)
            await attacker.group_send("lobby", said("while the key is one"))
            assert await next_said(site, channel) == "while the key is one"

            put(file, PRESENT)
            await until(lambda: site._binding.state._keys == (PRESENT,))
            before = recorder.layer_dropped.values["undecodable"]
            for way in (attacker.group_send("lobby", said("buy at eve's")), attacker.send(channel, said("and again"))):
                await way
            await site.group_send("lobby", said("from the site"))
            assert await next_said(site, channel) == "from the site"
            await until(lambda: recorder.layer_dropped.values["undecodable"] == before + 2)
            assert REMOVED not in caplog.text


async def test_a_host_list_signed_with_a_key_that_was_removed_leads_nobody_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file, hosts_file = tmp_path / "keys", tmp_path / "hosts.json"
    put(file, f"{PRESENT}\n{REMOVED}\n")
    with RedisProcess() as server, RedisProcess() as theirs, server.client as client, theirs.client as their_client:
        ours = HostList(1, (Shard("a", 1.0, {"host": "127.0.0.1", "port": server.port}),))
        hosts_file.write_text(ours.to_json())
        monkeypatch.setenv("REALTIME_GATEWAY_CONFIG", str(hosts_file))
        async with a_layer(server, encryption_keys_file=file, key_settle_seconds=0.1) as site:
            await site.new_channel()
            put(file, PRESENT)
            await until(lambda: site._binding.state._keys == (PRESENT,))
            visitors = their_client.info("stats")["total_connections_received"]
            elsewhere = HostList(2, (Shard("eve", 1.0, {"host": "127.0.0.1", "port": theirs.port}),))
            client.set("asgi:hosts", Documents((REMOVED,), "asgi").write(elsewhere))
            client.set("asgi:epoch", 2)
            with caplog.at_level(logging.WARNING, "realtime_gateway.layer"):
                await until(
                    lambda: "the host list of epoch 2 is not signed with a key of this channel layer" in caplog.text
                )
            assert site._binding.state.machine.epochs.hosts == ours
            assert their_client.info("stats")["total_connections_received"] == visitors


INTRUDERS: dict[str, Callable[[], dict[str, Any]]] = {
    "without a password": dict,
    "with a password of their own": lambda: {"password": "guess"},
    "with the password that was exchanged": lambda: {"password": "former-password"},
    "as a user of their own": lambda: {"username": "eve", "password": PASSWORD},
}


@pytest.mark.parametrize("intruder", INTRUDERS)
async def test_redis_lets_nobody_in(intruder: str) -> None:
    with RedisProcess("--requirepass", "former-password") as server:
        with redis.Redis(port=server.port, password="former-password") as administrator:
            administrator.config_set("requirepass", PASSWORD)
        async with a_layer(server, password=PASSWORD) as site:
            channel = await site.new_channel()
            await site.group_add("lobby", channel)
            with redis.Redis(port=server.port, retry=None, **INTRUDERS[intruder]()) as client:  # type: ignore[arg-type]
                for command in (
                    ("PUBLISH", "asgi", "x"),
                    ("KEYS", "*"),
                    ("MONITOR",),
                    ("CONFIG", "GET", "requirepass"),
                ):
                    with pytest.raises(
                        (redis.AuthenticationError, redis.ResponseError), match=r"(?i)auth|password|user"
                    ):
                        client.execute_command(*command)
            await site.group_send("lobby", said("from the site"))
            assert await next_said(site, channel) == "from the site"


@pytest.mark.parametrize("given", [None, "guess"])
async def test_a_process_that_lacks_the_password_is_told_so_and_shows_none(
    given: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisProcess("--requirepass", PASSWORD) as server:
        async with a_layer(server, password=given) as layer:
            with pytest.raises((ShardRefused, ShardUnavailable)) as caught:
                await layer.group_send("lobby", said("anything"))
            assert "password" in str(caught.value).lower() or "auth" in str(caught.value).lower()
            assert PASSWORD not in caplog.text + str(caught.value) + repr(layer)
            assert "guess" not in caplog.text + str(caught.value) + repr(layer)
