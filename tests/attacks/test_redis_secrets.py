"""Whoever gets at Redis without its password, or without a key that is still one, says nothing to anybody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from realtime_gateway.errors import ShardRefused, ShardUnavailable
from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.layer.refusals import REMEDIES
from realtime_gateway.telemetry import recorder
from tests.support.conditions import until
from tests.support.receiving import nothing
from tests.support.redis_process import RedisProcess
from tests.support.replaced_file import put

PASSWORD, FORMER_PASSWORD = "correct-horse-battery", "former-staple-battery"
SECRETS = (PASSWORD, FORMER_PASSWORD, "guess")
REMOVED, PRESENT = "removed-key-of-16-characters", "present-key-of-16-characters"


@asynccontextmanager
async def a_layer(server: RedisProcess, **options: Any) -> AsyncIterator[RedisChannelLayer]:
    login = {name: options.pop(name) for name in ("username", "password") if name in options}
    address = {"host": "127.0.0.1", "port": server.port, **login}
    layer = RedisChannelLayer(hosts=[address], **{"send_timeout": 1, **options})
    try:
        yield layer
    finally:
        await layer.close()


async def next_said(layer: RedisChannelLayer, channel: str) -> str:
    async with asyncio.timeout(10):
        return str((await layer.receive(channel))["text"])


def said(text: str) -> dict[str, Any]:
    return {"type": "said", "text": text}


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


# How they log in, and what they are told.
INTRUDERS: dict[str, tuple[dict[str, str], str]] = {
    "without a password": ({}, "NOAUTH"),
    "with a password of their own": ({"password": "guess"}, "WRONGPASS"),
    "with the password that was exchanged": ({"password": FORMER_PASSWORD}, "WRONGPASS"),
    "as a user of their own": ({"username": "eve", "password": PASSWORD}, "WRONGPASS"),
}


@pytest.mark.parametrize("intruder", INTRUDERS)
async def test_a_process_without_the_right_password_says_nothing_to_anybody_and_is_told_why_without_any_password(
    intruder: str, caplog: pytest.LogCaptureFixture
) -> None:
    login, refusal = INTRUDERS[intruder]
    with RedisProcess("--requirepass", FORMER_PASSWORD) as server:
        with server.new_client(password=FORMER_PASSWORD) as administrator:
            administrator.config_set("requirepass", PASSWORD)
        async with a_layer(server, password=PASSWORD) as site, a_layer(server, send_timeout=2, **login) as theirs:
            channel = await site.new_channel()
            await site.group_add("lobby", channel)
            before = recorder.layer_connection_failures.values["refused"]
            for attempt, error in (
                (theirs.group_send("lobby", said("buy at eve's")), ShardRefused),
                (theirs.send(channel, said("and again")), ShardRefused),
                (theirs.send("work", said("for a worker")), ShardRefused),
                # Who joins waits for the shard to come back.
                (theirs.group_add("lobby", "eve"), ShardUnavailable),
            ):
                with pytest.raises(error, match="shard '0'") as caught:
                    await attempt
                assert (caught.value.shard, caught.value.remedy) == ("0", REMEDIES[refusal])
                assert not [word for word in SECRETS if word in str(caught.value)]
            assert recorder.layer_connection_failures.values["refused"] > before
            assert "shard 0 cannot be used: " in caplog.text
            assert REMEDIES[refusal] in caplog.text
            assert not [word for word in SECRETS if word in caplog.text + repr(theirs)]
            await site.group_send("lobby", said("from the site"))
            await site.send("work", said("of the site"))
            assert await next_said(site, channel) == "from the site"
            assert await next_said(site, "work") == "of the site"
            assert await nothing(site, channel)
