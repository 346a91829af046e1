"""What happens to a message on its way: encryption, expiry, mailboxes without readers, what is left behind."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from channels_redis.serializers import registry
from tests.support.redis_process import RedisProcess
from tests.support.tcp_proxy import TcpProxy

from realtime_gateway.consumers.dispatching import Waker
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.layer.mailboxes import Mailbox
from realtime_gateway.telemetry import recorder

Make = Callable[..., RedisChannelLayer]


async def soon(layer: RedisChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return await layer.receive(channel)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


def dropped(reason: str) -> float:
    return recorder.layer_dropped.values.get(reason, 0)


def everything(server: RedisProcess, prefix: str) -> bytes:
    """All values of a prefix, as one text to search in."""
    with server.client as client:
        found = b""
        for key in client.scan_iter(f"{prefix}:*"):
            if client.type(key) == b"stream":
                found += b"".join(body for _, fields in client.xrange(key) for body in fields.values())
            elif client.type(key) == b"list":
                found += b"".join(client.lrange(key, 0, -1))
        return found


async def test_encrypted_messages_cannot_be_read_in_redis(redis_server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(redis_server.url, prefix="encrypted", symmetric_encryption_keys=["old key"])
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "confidential"})
    await layer.send("work", {"type": "confidential"})
    assert (await soon(layer, channel))["type"] == "confidential"
    assert b"confidential" not in everything(redis_server, "encrypted")
    plain = make_layer(redis_server.url, prefix="plain-text")
    await plain.send("work", {"type": "confidential"})
    assert b"confidential" in everything(redis_server, "plain-text")


@pytest.mark.parametrize("options", [{}, {"symmetric_encryption_keys": ["key"]}, {"random_prefix_length": 12}])
def test_serialize_and_deserialize_are_each_others_inverse(options: dict[str, Any]) -> None:
    layer = RedisChannelLayer(**options)
    message = {"type": "x", "body": b"\x00", "more": [None, True]}
    assert layer.deserialize(layer.serialize(message)) == message


async def test_keys_rotate_one_process_at_a_time(redis_server: RedisProcess, make_layer: Make) -> None:
    old = make_layer(redis_server.url, prefix="rotating", symmetric_encryption_keys=["old"])
    both = make_layer(redis_server.url, prefix="rotating", symmetric_encryption_keys=["old", "new"])
    new_first = make_layer(redis_server.url, prefix="rotating", symmetric_encryption_keys=["new", "old"])
    channels = [await layer.new_channel() for layer in (old, both, new_first)]
    for layer, channel in zip((old, both, new_first), channels, strict=True):
        await layer.group_add("room", channel)
    await old.group_send("room", {"type": "by old"})
    await both.group_send("room", {"type": "by both"})
    for layer, channel in zip((old, both, new_first), channels, strict=True):
        assert [(await soon(layer, channel))["type"] for _ in range(2)] == ["by old", "by both"]
    await new_first.send(channels[1], {"type": "by new"})
    assert (await soon(both, channels[1]))["type"] == "by new"


async def test_what_waits_in_a_queue_is_read_with_its_old_key_after_the_exchange(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    steps = (["old"], ["old", "new"], ["new", "old"], ["new"])
    senders = [make_layer(redis_server.url, prefix="exchange", symmetric_encryption_keys=keys) for keys in steps]
    for number, sender in enumerate(senders):
        await sender.send("work", {"type": "job", "step": number})
    # The last step is taken when nothing is left of the old key, so its process is not asked for the first two.
    assert [(await soon(senders[2], "work"))["step"] for _ in range(3)] == [0, 1, 2]
    assert (await soon(senders[3], "work"))["step"] == 3


async def test_a_message_that_cannot_be_decrypted_is_dropped_and_counted(
    redis_server: RedisProcess, make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    mine = make_layer(redis_server.url, prefix="keys", symmetric_encryption_keys=["mine"])
    theirs = make_layer(redis_server.url, prefix="keys", symmetric_encryption_keys=["theirs"])
    channel = await mine.new_channel()
    before = dropped("undecodable")
    await theirs.send(channel, {"type": "gibberish"})
    await mine.send(channel, {"type": "readable"})
    assert (await soon(mine, channel))["type"] == "readable"
    assert dropped("undecodable") == before + 1
    assert f"a message to {channel} cannot be decoded" in caplog.text


@pytest.mark.parametrize("keys", [None, ["key"]])
async def test_a_registered_serializer_needs_no_base_class(
    redis_server: RedisProcess, make_layer: Make, keys: list[str] | None
) -> None:
    class Reversed:
        def __init__(self, **options: Any) -> None:
            self.options = options

        def serialize(self, message: dict[str, Any]) -> bytes:
            return json.dumps(message).encode()[::-1]

        def deserialize(self, message: bytes) -> Any:
            return json.loads(message[::-1])

    registry.register_serializer("reversed", Reversed)
    for form in ("reversed", "json", "msgpack"):
        layer = make_layer(
            redis_server.url, prefix=f"form-{form}", serializer_format=form, symmetric_encryption_keys=keys,
            random_prefix_length=5,
        )  # fmt: skip
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "x", "n": [1, 2]})
        assert await soon(layer, channel) == {"type": "x", "n": [1, 2]}


async def test_a_mailbox_without_a_reader_is_dropped_with_its_memberships(
    redis_server: RedisProcess, make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "realtime_gateway.layer")
    layer = make_layer(redis_server.url, prefix="idle", expiry=0.5)
    unread, read = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("room", unread)
    await layer.group_add("room", read)
    expired, idle = dropped("expired"), recorder.layer_idle.values.get("", 0)
    await layer.group_send("room", {"type": "x"})
    assert (await soon(layer, read))["type"] == "x"
    receiving = asyncio.create_task(soon(layer, read))
    await until(lambda: recorder.layer_idle.values.get("", 0) > idle)
    # A message in it does not wait so long: it goes as soon as it has expired.
    assert dropped("expired") == expired + 1
    # Cancelling and waiting are not leaving: only who does neither for so long is gone.
    await layer.group_send("room", {"type": "y"})
    assert (await receiving)["type"] == "y"
    assert not layer._binding.state.mailboxes.get(unread)
    told = [one for one in caplog.messages if unread in one]
    assert len(told) == 1
    assert "it is dropped (messages: 0, groups: 1)" in told[0]


async def test_the_oldest_message_of_a_mailbox_expires_first(redis_server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(redis_server.url, prefix="expiring", expiry=0.4)
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "old"})
    await asyncio.sleep(0.3)
    await layer.send(channel, {"type": "new"})
    await asyncio.sleep(0.2)
    assert (await soon(layer, channel))["type"] == "new"


async def test_a_worker_that_is_cancelled_as_it_is_woken_leaves_its_message_to_the_next_and_wants_no_more(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = make_layer(redis_server.url, prefix="turn")
    first, second = (asyncio.create_task(layer.receive("work")) for _ in range(2))
    queues = layer._binding.state.machine.queues
    await until(lambda: "work" in queues._waiting and queues._waiting["work"].receivers == 2)
    put = Mailbox.put

    def put_and_cancel(box: Mailbox, *message: Any) -> bool:
        done = put(box, *message)
        first.cancel()
        return done

    monkeypatch.setattr(Mailbox, "put", put_and_cancel)
    await layer.send("work", {"type": "job"})
    async with asyncio.timeout(10):
        assert (await second)["type"] == "job"
    assert first.cancelled()
    # Otherwise every message would be taken for nobody and put back, for ever.
    assert queues._waiting["work"].receivers == 0


async def test_what_a_worker_had_taken_that_went_away_with_its_connection_is_back_for_the_next(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TcpProxy(redis_server.address) as proxy:
        one, other = make_layer(proxy.url, prefix="back"), make_layer(redis_server.url, prefix="back")
        receiving = asyncio.create_task(one.receive("work"))
        queues = one._binding.state.machine.queues
        await until(lambda: "work" in queues._waiting and not queues._waiting["work"].popping)
        put = Mailbox.put

        def put_and_go(box: Mailbox, *message: Any) -> bool:
            monkeypatch.undo()
            proxy.cut()
            receiving.cancel()
            return put(box, *message)

        monkeypatch.setattr(Mailbox, "put", put_and_go)
        await other.send("work", {"type": "job"})
        await asyncio.wait([receiving])
        assert receiving.cancelled()
        proxy.restore()
        assert (await soon(other, "work"))["type"] == "job"


async def test_a_message_to_a_large_group_leaves_the_loop_free_and_keeps_its_order(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(redis_server.url, prefix="large")
    channels = [await layer.new_channel() for _ in range(2000)]
    await asyncio.gather(*(layer.group_add("room", channel) for channel in channels))
    boxes = [layer._binding.state.mailboxes.get(channel) for channel in channels]
    seen_partly = asyncio.Event()

    def watch() -> None:
        served = sum(bool(box) for box in boxes)
        if 0 < served < len(boxes):
            seen_partly.set()
        elif not served:
            asyncio.get_running_loop().call_soon(watch)

    watch()
    await asyncio.gather(*(layer.group_send("room", {"type": "said", "number": number}) for number in range(3)))
    async with asyncio.timeout(10):
        await seen_partly.wait()
    for channel in (channels[0], channels[-1]):
        assert [(await soon(layer, channel))["number"] for _ in range(3)] == [0, 1, 2]


async def test_a_membership_ends_by_group_expiry(redis_server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(redis_server.url, prefix="ending", group_expiry=1)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_add("room", "ending-work")
    await layer.group_send("room", {"type": "member"})
    assert (await soon(layer, channel))["type"] == "member"
    assert (await soon(layer, "ending-work"))["type"] == "member"
    await asyncio.sleep(1.5)
    await layer.group_send("room", {"type": "no member"})
    await layer.send(channel, {"type": "marker"})
    await layer.send("ending-work", {"type": "marker"})
    assert (await soon(layer, channel))["type"] == "marker"
    assert (await soon(layer, "ending-work"))["type"] == "marker"


async def test_streams_are_bounded_and_end(redis_server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(redis_server.url, prefix="bounded", history_messages=100, history_seconds=2)
    await asyncio.gather(*(layer.group_send("room", {"n": number}) for number in range(1000)))
    with redis_server.client as client:
        # Redis trims whole nodes of a stream, of a hundred entries each.
        assert client.xlen("bounded:g:room") <= 200
        assert 0 < client.ttl("bounded:g:room") <= 12


async def test_every_process_says_that_it_lives(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_GATEWAY_PROCESS", "pod-7")
    layer = make_layer(redis_server.url, prefix="living")
    await layer.group_send("room", {})
    key = f"living:process:{layer.client_prefix}"

    def said() -> dict[str, Any]:
        with redis_server.client as client:
            assert 0 < client.ttl(key) <= 30
            return dict(json.loads(client.get(key) or b"{}"))

    with redis_server.client as client:
        assert client.zrange("living:processes", 0, -1) == [layer.client_prefix.encode()]
    await until(lambda: said().get("name") == "pod-7")
    assert {"id", "name", "epoch", "connections", "version"} <= said().keys()


async def test_two_thousand_members_that_leave_at_once_leave_nothing_behind(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(redis_server.url, prefix="leaving")

    async def come() -> str:
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.group_add("room-" + channel.partition("!")[2], channel)
        return channel

    channels = await asyncio.gather(*(come() for _ in range(2000)))

    async def go(channel: str) -> None:
        await layer.group_discard("room", channel)
        await layer.group_discard("room-" + channel.partition("!")[2], channel)
        await layer.forget(channel)

    await asyncio.gather(*(go(channel) for channel in channels))
    with redis_server.client as client:
        await until(lambda: not [one for one in client.pubsub_channels("leaving:*") if b":g:" in one])
        assert len([one for one in client.client_list() if one["flags"] == "P"]) <= 1
        # Nothing but what the shard and the process say of themselves.
        kinds = {key.decode().split(":")[1] for key in client.scan_iter("leaving:*")}
        assert kinds <= {"epoch", "hosts", "dataset", "processes", "process"}
    state = layer._binding.state
    assert (len(state.mailboxes), len(state.full_channels), state.machine.following.follows.keys()) == (
        0, 0, {f"i:{layer.client_prefix}"},
    )  # fmt: skip


async def test_flush_spares_the_deployments_own_keys_and_other_prefixes(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    layer, other = make_layer(redis_server.url, prefix="fl[u]sh*"), make_layer(redis_server.url, prefix="flush")
    await layer.group_send("room", {})
    await other.group_send("room", {})
    with redis_server.client as client:
        client.mset({"fl[u]sh*:hosts": "kept", "fl[u]sh*:q:left": "gone"})
        await layer.flush()
        assert client.get("fl[u]sh*:hosts") == b"kept"
        assert not client.exists("fl[u]sh*:q:left", "fl[u]sh*:g:room")
        assert client.exists("flush:g:room")


async def test_flush_spares_a_deployment_whose_prefix_goes_on_like_a_key(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    layer, longer = make_layer(redis_server.url, prefix="site"), make_layer(redis_server.url, prefix="site:t")
    await longer.send("work", {"n": 1})
    await layer.flush()
    async with asyncio.timeout(10):
        assert await longer.receive("work") == {"n": 1}


async def test_group_send_costs_one_write_whatever_the_number_of_members(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(redis_server.url, prefix="many")
    for _ in range(500):
        await layer.group_add("room", await layer.new_channel())
    with redis_server.client as client:
        before = client.info("commandstats")["cmdstat_xadd"]["calls"]
        await layer.group_send("room", {"type": "x"})
        assert client.info("commandstats")["cmdstat_xadd"]["calls"] == before + 1


async def test_an_info_line_names_what_config_overrides(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO, "realtime_gateway.layer")
    resource = tmp_path / "gateway.json"
    document = {
        "apiVersion": "realtime-gateway.io/v1alpha1", "kind": "RealtimeGateway", "metadata": {"name": "chat"},
        "spec": {"application": "chat.asgi:application", "channelLayer": {"prefix": "of-resource", "capacity": 7}},
    }  # fmt: skip
    resource.write_text(json.dumps(document))
    monkeypatch.setenv("REALTIME_GATEWAY_RESOURCE", str(resource))
    layer = make_layer(redis_server.url, capacity=9)
    assert (layer.prefix, layer.capacity) == ("of-resource", 9)
    assert f"wins over {resource} for capacity" in caplog.text


async def test_who_looks_into_an_empty_channel_asks_nothing_of_anybody(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = make_layer(redis_server.url)
    channel = await layer.new_channel()
    source, driver = layer.source(channel), layer._binding.driver_here()
    assert source is not None
    assert driver is not None
    asked: list[Any] = []
    with monkeypatch.context() as patched:
        patched.setattr(driver, "submit", asked.append)
        assert source.reach()
        assert source.take() is None
    assert not asked
    waker = Waker(asyncio.get_running_loop())
    source.attend(waker)
    sending = asyncio.create_task(layer.send(channel, {"type": "a"}))
    await waker
    await sending
    box = driver.state.mailboxes.get(channel)
    assert box is not None
    assert box.attendees == (waker,)
    assert channel in driver.state.mailboxes.filled
    assert source.take() == {"type": "a"}
    assert channel not in driver.state.mailboxes.filled
    source.end()
    assert box.attendees == ()
    assert not box.busy, "with nobody here it is dropped after two lives of a message, and not after ten"
