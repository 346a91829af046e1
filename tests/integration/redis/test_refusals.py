"""A Redis that answers but refuses: senders hear what to do, receivers wait, and it all comes back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest
import redis
from channels.exceptions import ChannelFull
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

from realtime_gateway.errors import ShardError, ShardRefused, ShardUnavailable
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.layer.refusals import REMEDIES
from realtime_gateway.telemetry import recorder

Make = Callable[..., RedisChannelLayer]
Fault = Callable[[RedisProcess], AbstractAsyncContextManager[None]]

SEND_TIMEOUT_SECONDS = 2.0
# A slow reply to loading, and scripts that are called slow after a tenth of a second.
OPTIONS = ("--busy-reply-threshold", "100", "--loading-process-events-interval-bytes", "1024")


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with RedisProcess(*OPTIONS) as process:
        yield process


def reconnect(client: redis.Redis) -> None:
    client.client_kill_filter(_type="pubsub")


def set_while(name: str, value: str, before: str, *, new_links: bool = False) -> Fault:
    """A fault that is one setting of the server."""

    @asynccontextmanager
    async def fault(server: RedisProcess) -> AsyncIterator[None]:
        with server.client as client:
            client.config_set(name, value)
            if new_links:
                reconnect(client)
            yield
            client.config_set(name, before)

    return fault


def acl_while(rule: str, before: str, *, new_links: bool = False) -> Fault:
    """A fault that is a change of the user's rights."""

    @asynccontextmanager
    async def fault(server: RedisProcess) -> AsyncIterator[None]:
        with server.client as client:
            client.execute_command("ACL", "SETUSER", "default", *rule.split())
            if new_links:
                reconnect(client)
            yield
            client.execute_command("ACL", "SETUSER", "default", *before.split())

    return fault


@asynccontextmanager
async def wanting_a_password(server: RedisProcess) -> AsyncIterator[None]:
    with server.client as client:
        client.config_set("requirepass", "horse")
        client.execute_command("AUTH", "horse")
        reconnect(client)
        yield
        client.config_set("requirepass", "")


@asynccontextmanager
async def being_a_replica(server: RedisProcess) -> AsyncIterator[None]:
    with RedisProcess() as primary, server.client as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        yield
        client.execute_command("REPLICAOF", "NO", "ONE")


@asynccontextmanager
async def running_a_script(server: RedisProcess) -> AsyncIterator[None]:
    def run() -> None:
        with server.client as client, suppress(redis.ResponseError):
            client.eval("while true do end", 0)

    def busy() -> bool:
        with server.client as client:
            try:
                return not client.ping()
            except redis.ResponseError as error:
                return "BUSY" in str(error)

    script = threading.Thread(target=run)
    script.start()
    try:
        await until(busy)
        yield
    finally:
        with server.client as client:
            client.script_kill()
        await asyncio.to_thread(script.join)


@asynccontextmanager
async def failing_to_save(server: RedisProcess) -> AsyncIterator[None]:
    def status() -> str:
        return str(client.info("persistence")["rdb_last_bgsave_status"])

    in_the_way = server.directory / "dump.rdb"
    in_the_way.mkdir()
    with server.client as client:
        client.config_set("save", "3600 1")
        client.bgsave()
        await until(lambda: status() == "err")
        yield
        in_the_way.rmdir()
        client.bgsave()
        await until(lambda: status() == "ok")
        client.config_set("save", "")


@asynccontextmanager
async def loading(server: RedisProcess) -> AsyncIterator[None]:
    with server.client as client:
        with client.pipeline() as pipeline:
            for number in range(20_000):
                pipeline.set(f"other:{number}", "x" * 500)
            pipeline.execute()
        client.save()
    server.kill()
    # As before, but with the data, of which each key takes half a millisecond.
    server.spawn("--dir", str(server.directory), "--dbfilename", "dump.rdb", "--key-load-delay", "500")

    def answer() -> str:
        try:
            with redis.Redis(host="127.0.0.1", port=server.port, socket_timeout=5, retry=None) as client:
                return "up" if client.ping() else ""
        except redis.BusyLoadingError:
            return "loading"
        except redis.ConnectionError:
            return ""

    await until(lambda: answer() == "loading")
    yield
    await until(lambda: answer() == "up", 60)


FAULTS: dict[str, tuple[Fault, str, type[ShardError]]] = {
    "no memory left": (set_while("maxmemory", "1", "0"), "OOM", ShardRefused),
    "no memory left for a new connection": (
        set_while("maxmemory", "1", "0", new_links=True), "OOM", ShardRefused,
    ),
    "a password that nobody told us": (wanting_a_password, "NOAUTH", ShardRefused),
    "no right to run scripts": (acl_while("-evalsha", "+evalsha"), "NOPERM", ShardRefused),
    "no right to run scripts over a new connection": (
        acl_while("-evalsha", "+evalsha", new_links=True), "NOPERM", ShardUnavailable,
    ),
    "no right to a command inside a script": (acl_while("-xadd -rpush", "+xadd +rpush"), "NOPERM", ShardRefused),
    "no right to the keys": (acl_while("resetkeys ~other:*", "allkeys"), "NOPERM", ShardRefused),
    "no right to the channels": (acl_while("resetchannels &other:*", "allchannels"), "NOPERM", ShardRefused),
    "a server that became a replica": (being_a_replica, "READONLY", ShardUnavailable),
    "a script that does not end": (running_a_script, "BUSY", ShardUnavailable),
    "a disk that takes nothing": (failing_to_save, "MISCONF", ShardRefused),
    "data that is being loaded": (loading, "LOADING", ShardUnavailable),
    "too few replicas": (set_while("min-replicas-to-write", "1", "0"), "NOREPLICAS", ShardUnavailable),
}  # fmt: skip


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    started = time.monotonic()
    yield lambda: time.monotonic() - started


# Whose connections break: what was on its way then may have been stored.
BREAKING = {
    "no memory left for a new connection", "no right to run scripts over a new connection",
    "a password that nobody told us", "no right to the channels", "a script that does not end",
}  # fmt: skip
# Changing the normal channels of a group needs nothing that these withhold.
JOINABLE = {
    "no memory left", "no memory left for a new connection", "no right to a command inside a script",
}  # fmt: skip


async def refused(call: Awaitable[None]) -> ShardError:
    with timed() as seconds, pytest.raises(ShardError) as caught:
        await call
    # The send timeout, and what a busy machine needs beyond it.
    assert seconds() < SEND_TIMEOUT_SECONDS + 5
    return caught.value


async def numbers(layer: RedisChannelLayer, channel: str, got: list[int]) -> None:
    while True:
        got.append((await layer.receive(channel))["n"])


@pytest.mark.parametrize("name", FAULTS)
async def test_senders_hear_of(name: str, server: RedisProcess, make_layer: Make) -> None:
    fault, code, error_class = FAULTS[name]
    layer = make_layer(server.url, send_timeout=SEND_TIMEOUT_SECONDS)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    got: list[int] = []
    receiving = asyncio.create_task(numbers(layer, channel, got))
    await layer.group_send("room", {"type": "count", "n": 0})
    async with fault(server):
        errors = await asyncio.gather(
            refused(layer.group_send("room", {"type": "count", "n": 1})),
            refused(layer.send("work", {"type": "count", "n": 1})),
            *([] if name in JOINABLE else [refused(layer.group_add("room", "work"))]),
        )
        assert not receiving.done()
    for error in errors[:2]:
        assert isinstance(error, error_class), error
    for error in errors:
        assert (error.shard, error.remedy) == ("0", REMEDIES[code])
        assert "'0'" in str(error)
    # It is used again without anybody's help, and what was refused does not come later.
    for number in (2, 3):
        await _as_soon_as_possible(layer, number)
    await until(lambda: got[-1:] == [3], 20)
    assert [number for number in got if number != 1 or name not in BREAKING] == [0, 2, 3]
    await layer.group_add("room", "work")
    await layer.group_send("room", {"type": "count", "n": 4})
    async with asyncio.timeout(20):
        while (await layer.receive("work"))["n"] != 4:
            assert name in BREAKING
    receiving.cancel()


async def _as_soon_as_possible(layer: RedisChannelLayer, number: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(ShardError):
                return await layer.group_send("room", {"type": "count", "n": number})


async def test_each_call_that_raises_is_counted_by_why(server: RedisProcess, make_layer: Make) -> None:
    def counted() -> dict[str, float]:
        return {reason: value - before[reason] for reason, value in recorder.layer_refused.values.items()}

    before = dict(recorder.layer_refused.values)
    layer = make_layer(server.url, capacity=1, send_timeout=SEND_TIMEOUT_SECONDS)
    await layer.send("work", {"type": "x"})
    assert counted() == {"full": 0, "refused": 0, "unavailable": 0}
    with pytest.raises(ChannelFull):
        await layer.send("work", {"type": "x"})
    async with FAULTS["no memory left"][0](server):
        await refused(layer.group_send("room", {"type": "x"}))
    server.kill()
    await refused(layer.group_send("room", {"type": "x"}))
    await refused(layer.group_add("room", "work"))
    assert counted() == {"full": 1, "refused": 1, "unavailable": 2}


async def test_a_wrong_password_is_named_without_being_shown(server: RedisProcess, make_layer: Make) -> None:
    with server.client as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">right", "allkeys", "allchannels", "+@all")
    layer = make_layer(f"redis://app:battery-staple@127.0.0.1:{server.port}", send_timeout=5)
    with pytest.raises(ShardRefused, match="WRONGPASS") as caught:
        await layer.group_send("room", {"type": "x"})
    assert caught.value.remedy == REMEDIES["WRONGPASS"]
    assert "battery" not in str(caught.value)
    with server.client as client:
        client.execute_command("ACL", "SETUSER", "app", ">battery-staple")
    async with asyncio.timeout(20):
        while True:
            with suppress(ShardRefused):
                await layer.group_send("room", {"type": "x"})
                break


async def test_a_key_of_another_program_is_told_apart(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url, prefix="shared")
    with server.client as client:
        client.set("shared:g:room", "somebody's")
    with pytest.raises(ShardRefused, match="WRONGTYPE") as caught:
        await layer.group_send("room", {"type": "x"})
    assert caught.value.remedy == REMEDIES["WRONGTYPE"]
    await layer.group_send("other", {"type": "x"})


async def test_a_script_of_ours_that_somebody_kills_is_called_again(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url)
    await layer.send("work", {"type": "first"})
    driver = layer._binding._driver
    assert driver is not None
    link, machine = driver.links.open["0"], driver.state.machine
    # The real publish script, held up before it has written anything, as it may be killed only then.
    slow = link._scripts["publish"].text.replace("local links = {}", "for _ = 1, 1e12 do end\nlocal links = {}")
    calm = link.call

    def call_slowly_once(script: str, keys: Any, arguments: Any, reply: Callable[[Any], None]) -> None:
        if script != "publish":
            calm(script, keys, arguments, reply)
            return
        link.call = calm  # type: ignore[method-assign]
        link.command(("EVAL", slow, len(keys), *keys, *arguments), reply)

    link.call = call_slowly_once  # type: ignore[method-assign]
    sending = asyncio.create_task(layer.send("work", {"type": "second"}))
    await until(lambda: machine.publishing.lanes["0"].in_flight is not None)

    def kill() -> bool:
        with suppress(redis.ResponseError), server.client as client:  # NOTBUSY: it has not begun
            client.script_kill()
            return True
        return False

    async with asyncio.timeout(20):
        while not await asyncio.to_thread(kill):
            await asyncio.sleep(0.05)
        await sending
    assert [(await layer.receive("work"))["type"] for _ in range(2)] == ["first", "second"]
