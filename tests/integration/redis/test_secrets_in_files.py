"""Encryption keys and Redis passwords that are exchanged in their files while messages flow."""

from __future__ import annotations

import asyncio
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess, SentinelProcess
from tests.support.replaced_file import put

from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.telemetry import recorder

Make = Callable[..., RedisChannelLayer]
OLD, NEW = "old-key-of-16-characters", "new-key-of-16-characters"
# Longer than it takes a layer here to see a file, shorter than a test.
SETTLE_SECONDS = 3.0


def keys_in_use(layer: RedisChannelLayer) -> tuple[str, ...]:
    """The one that encrypts first."""
    keys = layer._binding.state._keys
    assert keys is not None
    return tuple(str(key) for key in keys)


class Talk:
    """Two layers in a group, each of which says numbers until it is told to end; both hear both."""

    def __init__(self, layers: tuple[RedisChannelLayer, RedisChannelLayer]) -> None:
        self._layers = layers
        self.said = [0, 0]
        self.heard: list[list[tuple[int, int]]] = [[], []]

    async def join(self) -> None:
        self._channels = [await layer.new_channel() for layer in self._layers]
        for layer, channel in zip(self._layers, self._channels, strict=True):
            await layer.group_add("room", channel)
        self._tasks = [asyncio.create_task(self._listen(index)) for index in (0, 1)]

    async def say(self) -> None:
        for index, layer in enumerate(self._layers):
            await layer.group_send("room", {"type": "word", "by": index, "number": self.said[index]})
            self.said[index] += 1

    async def say_until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await self.say()
                await asyncio.sleep(0.01)

    async def _listen(self, index: int) -> None:
        while True:
            message = await self._layers[index].receive(self._channels[index])
            self.heard[index].append((message["by"], message["number"]))

    async def end(self) -> None:
        """Everything that was said was heard by both, once and in order."""
        wanted = sum(self.said)
        await until(lambda: all(len(words) >= wanted for words in self.heard))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for words in self.heard:
            for by in (0, 1):
                assert [number for who, number in words if who == by] == list(range(self.said[by]))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """What two processes see of one Secret, each in its own time."""
    for name in ("one", "other"):
        put(tmp_path / name, OLD)
    return tmp_path / "one", tmp_path / "other"


async def test_a_key_is_exchanged_under_processes_that_see_it_at_different_times_and_no_message_is_lost(
    redis_server: RedisProcess, make_layer: Make, files: tuple[Path, Path]
) -> None:
    options: dict[str, Any] = {"prefix": "rotated", "key_settle_seconds": SETTLE_SECONDS, "on_disconnect": None}
    one, other = (make_layer(redis_server.url, encryption_keys_file=file, **options) for file in files)
    undecodable = recorder.layer_dropped.values["undecodable"]
    talk = Talk((one, other))
    await talk.join()
    await talk.say()

    put(files[0], f"{NEW}\n{OLD}\n")
    await talk.say_until(lambda: keys_in_use(one) == (OLD, NEW))
    assert keys_in_use(other) == (OLD,)
    put(files[1], f"{NEW}\n{OLD}\n")
    await talk.say_until(lambda: keys_in_use(one) == keys_in_use(other) == (NEW, OLD))
    for file in files:
        put(file, NEW)
    await talk.say_until(lambda: keys_in_use(one) == keys_in_use(other) == (NEW,))
    await talk.say()
    await talk.end()
    assert recorder.layer_dropped.values["undecodable"] == undecodable


@pytest.mark.parametrize("bad", ["", "short", f"{OLD}\n{OLD}", None])
async def test_a_keys_file_that_cannot_be_used_changes_nothing(
    redis_server: RedisProcess, make_layer: Make, files: tuple[Path, Path], bad: str | None
) -> None:
    options: dict[str, Any] = {"prefix": "spoilt", "key_settle_seconds": SETTLE_SECONDS}
    one, other = (make_layer(redis_server.url, encryption_keys_file=file, **options) for file in files)
    refused = recorder.secret_changes.values["refused"]
    talk = Talk((one, other))
    await talk.join()
    if bad is None:
        files[0].unlink()
    else:
        put(files[0], bad)
    await talk.say_until(lambda: recorder.secret_changes.values["refused"] > refused)
    assert keys_in_use(one) == (OLD,)
    await talk.say()
    await talk.end()


@pytest.mark.parametrize("bad", ["short", None])
def test_a_child_that_is_forked_while_the_keys_file_cannot_be_used_has_its_parents_keys(
    redis_server: RedisProcess, files: tuple[Path, Path], bad: str | None
) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url], encryption_keys_file=files[0], prefix=f"forked-{bad}")
    async_to_sync(layer.group_send)("room", {"type": "x"})
    if bad is None:
        files[0].unlink()
    else:
        put(files[0], bad)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the process has threads, as prefork servers have
        parents, child = layer.client_prefix, os.fork()
    if child == 0:
        status = 1
        try:
            async_to_sync(layer.group_send)("room", {"type": "x"})
            status = 0 if layer.client_prefix != parents and keys_in_use(layer) == (OLD,) else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    async_to_sync(layer.close)()


async def test_the_host_list_on_a_shard_is_signed_with_the_new_key_before_the_old_one_goes(
    make_layer: Make, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisProcess() as server, server.client as client:
        hosts = HostList(3, (Shard("a", 1.0, {"host": "127.0.0.1", "port": server.port}),))
        put(tmp_path / "hosts.json", hosts.to_json())
        monkeypatch.setenv("REALTIME_GATEWAY_CONFIG", str(tmp_path / "hosts.json"))
        layer = make_layer(prefix="signed", encryption_keys_file=files[0], key_settle_seconds=0.5)
        await layer.new_channel()

        def signed_with(key: str) -> bool:
            stored = client.get("signed:hosts")
            signature = json.loads(stored).get("signature") if stored else None
            return bool(signature == json.loads(Documents((key,), "signed").write(hosts))["signature"])

        await until(lambda: signed_with(OLD))
        put(files[0], f"{NEW}\n{OLD}")
        await until(lambda: signed_with(NEW))


async def test_the_next_connection_logs_in_with_the_password_that_is_in_the_file_then(
    make_layer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "redis").mkdir()
    put(tmp_path / "redis" / "a", "first-password\n")
    monkeypatch.setenv("REALTIME_GATEWAY_SECRETS", str(tmp_path))
    with RedisProcess("--requirepass", "first-password") as server:
        layer = make_layer({"name": "a", "host": "127.0.0.1", "port": server.port})
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "one"})
        assert (await layer.receive(channel))["type"] == "one"
        reconnects = recorder.layer_reconnects.values.get("", 0)

        # Redis changes first: who is connected stays so, and who comes with the old one is refused until the file does.
        with redis.Redis(port=server.port, password="first-password", socket_timeout=5) as client:
            client.config_set("requirepass", "second-password")
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until(lambda: not layer._binding.state.machine.epochs.reachable())
        put(tmp_path / "redis" / "a", "second-password\n")
        await until(lambda: recorder.layer_reconnects.values.get("", 0) > reconnects)
        await layer.send(channel, {"type": "two"})
        assert (await layer.receive(channel))["type"] == "two"


@pytest.mark.parametrize("protected", [True, False])
async def test_sentinels_of_a_shard_are_asked_with_its_password_and_answer_where_they_have_none(
    make_layer: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    (tmp_path / "redis").mkdir()
    put(tmp_path / "redis" / "a", "the-password\n")
    monkeypatch.setenv("REALTIME_GATEWAY_SECRETS", str(tmp_path))
    with (
        RedisProcess("--requirepass", "the-password") as server,
        SentinelProcess({"chat": server}, password="the-password" if protected else "") as sentinel,
    ):
        layer = make_layer({"name": "a", "sentinels": [sentinel.address], "master_name": "chat"})
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "one"})
        assert (await layer.receive(channel))["type"] == "one"
