"""Host lists that change while a process runs: the mounted file, what shards hold, signatures, mistakes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from tests.support.conditions import until
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess
from tests.support.replaced_file import put

from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]
SECONDS = 15.0
KEYS = ["a secret"]


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Shard, Shard]]:
    """Two servers of a test's own, as shards."""
    with RedisProcess() as one, RedisProcess() as two:
        yield Shard("one", 1.0, {"address": one.url}), Shard("two", 1.0, {"address": two.url})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: tuple[Shard, Shard]) -> Path:
    """A mounted list of epoch 1 with the first shard."""
    path = tmp_path / "hosts.json"
    put(path, HostList(1, pair[:1]).to_json())
    monkeypatch.setenv("REALTIME_GATEWAY_CONFIG", str(path))
    return path


def write_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def config_map(directory: Path, *versions: HostList) -> Path:
    """Lay out a directory as Kubernetes mounts a ConfigMap: what is read is reached through the link `..data`."""
    for hosts in versions:
        (directory / f"..{hosts.epoch}").mkdir()
        (directory / f"..{hosts.epoch}" / "hosts.json").write_text(hosts.to_json())
    swap(directory, versions[0])
    (directory / "hosts.json").symlink_to("..data/hosts.json")
    return directory / "hosts.json"


def swap(directory: Path, hosts: HostList) -> None:
    (directory / "..data_tmp").symlink_to(f"..{hosts.epoch}")
    (directory / "..data_tmp").rename(directory / "..data")


def grown(pair: tuple[Shard, Shard]) -> HostList:
    return HostList(2, pair, (HostList(1, pair[:1]),))


async def use(layer: RedisChannelLayer) -> None:
    """Show that the layer works: through every shard there is."""
    channel = await layer.new_channel()
    for number in range(8):
        await layer.group_add(f"room-{number}", channel)
        await layer.group_send(f"room-{number}", {"type": "count", "n": number})
        async with asyncio.timeout(SECONDS):
            assert (await layer.receive(channel))["n"] == number


def epoch_of(layer: RedisChannelLayer) -> int:
    return layer._binding.state.machine.epochs.hosts.epoch


def stored(shard: Shard, key: str, prefix: str = "asgi") -> str:
    with redis.Redis.from_url(shard.connection["address"], decode_responses=True) as client:
        value = client.get(f"{prefix}:{key}")
        assert value is None or isinstance(value, str)
        return value or ""


def store(shard: Shard, hosts: HostList, document: str) -> None:
    with redis.Redis.from_url(shard.connection["address"]) as client:
        client.mset({"asgi:epoch": hosts.epoch, "asgi:hosts": document})


async def test_a_file_that_is_replaced_is_followed(file: Path, pair: tuple[Shard, Shard], make_layer: Make) -> None:
    layer = make_layer()
    await use(layer)
    put(file, grown(pair).to_json())
    await until(lambda: epoch_of(layer) == 2, SECONDS)
    await use(layer)
    assert stored(pair[1], "epoch") == "2"


async def test_a_layer_that_is_used_long_after_it_was_made_begins_with_the_list_of_then(
    file: Path, pair: tuple[Shard, Shard], make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    idle = make_layer()
    put(file, HostList(3, pair).to_json())  # the lists of epochs 1 and 2 are retired
    await use(make_layer())
    await use(idle)
    assert epoch_of(idle) == 3
    assert "may be missing" not in caplog.text, "nobody was there to miss anything"


async def test_a_config_map_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: tuple[Shard, Shard], make_layer: Make
) -> None:
    path = config_map(tmp_path, HostList(1, pair[:1]), grown(pair))
    monkeypatch.setenv("REALTIME_GATEWAY_CONFIG", str(path))
    layer = make_layer()
    await use(layer)
    swap(tmp_path, grown(pair))
    await until(lambda: epoch_of(layer) == 2, SECONDS)
    await use(layer)


async def test_a_half_written_file_is_told_of_once_and_the_working_list_stays(
    file: Path, pair: tuple[Shard, Shard], make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer()
    await use(layer)
    whole = grown(pair).to_json()
    write_in_place(file, whole[:40])
    await until(lambda: "not a JSON document" in caplog.text, SECONDS)
    await use(layer)
    assert epoch_of(layer) == 1
    write_in_place(file, whole)
    await until(lambda: epoch_of(layer) == 2, SECONDS)
    assert caplog.text.count("not a JSON document") == 1


async def test_a_pinned_list_does_not_follow_the_file(file: Path, pair: tuple[Shard, Shard], make_layer: Make) -> None:
    pinned, following = make_layer(follow_hosts=False), make_layer(prefix="other")
    await use(pinned)
    await use(following)
    put(file, grown(pair).to_json())
    await until(lambda: epoch_of(following) == 2, SECONDS)
    assert epoch_of(pinned) == 1
    await use(pinned)


async def test_another_list_of_the_same_epoch_is_told_once_and_not_adopted(
    file: Path, pair: tuple[Shard, Shard], make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer()
    await use(layer)
    put(file, HostList(1, pair[1:]).to_json())
    await until(lambda: "holds another host list of epoch 1" in caplog.text, SECONDS)
    assert str(file) in caplog.text
    await use(layer)
    assert stored(pair[1], "epoch") == ""


async def test_a_shard_that_holds_another_list_of_the_same_epoch_is_told(
    file: Path, pair: tuple[Shard, Shard], make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    other = HostList(1, pair)
    store(pair[0], other, other.to_json())
    layer = make_layer()
    await use(layer)
    assert "shard one holds another host list of epoch 1" in caplog.text


async def test_a_list_whose_shards_are_all_out_of_reach_does_not_break_the_one_in_use(
    file: Path, pair: tuple[Shard, Shard], make_layer: Make
) -> None:
    layer = make_layer(send_timeout=2)
    await use(layer)
    nowhere = Shard("nowhere", 1.0, {"address": f"redis://127.0.0.1:{free_port()}"})
    put(file, HostList(2, (nowhere,), (HostList(1, pair[:1]),)).to_json())
    await until(lambda: layer._binding.state.machine.epochs.newest.epoch == 2, SECONDS)
    # Longer than a heartbeat, and with new connections, since both compare what the shard holds with what is known.
    for _ in range(8):
        await use(layer)
        await asyncio.sleep(0.5)
    with redis.Redis.from_url(pair[0].connection["address"]) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    await use(layer)
    assert stored(pair[0], "epoch") == "1"
    put(file, replace(grown(pair), epoch=3).to_json())
    await until(lambda: epoch_of(layer) == 3, SECONDS)
    await use(layer)


async def test_with_encryption_keys_an_unsigned_list_on_a_shard_is_refused_and_a_signed_one_adopted(
    pair: tuple[Shard, Shard], make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer({"name": "one", **pair[0].connection}, symmetric_encryption_keys=KEYS)
    await use(layer)
    with redis.Redis.from_url(pair[0].connection["address"]) as client:
        client.publish("asgi:one:control", grown(pair).to_json())
        await until(lambda: "is not signed with a key of this channel layer" in caplog.text, SECONDS)
        await use(layer)
        assert epoch_of(layer) == 0
        client.publish("asgi:one:control", Documents(KEYS, "asgi").write(grown(pair)))
    await until(lambda: epoch_of(layer) == 2, SECONDS)
    await use(layer)
    for shard in pair:
        assert Documents(KEYS, "asgi").read(stored(shard, "hosts"), shard.name) == grown(pair)


async def test_whoever_has_the_keys_and_the_list_from_the_file_signs_what_somebody_without_keys_has_stored(
    file: Path, pair: tuple[Shard, Shard], make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(pair[0], HostList(1, pair[:1]), HostList(1, pair[:1]).to_json())
    with_file = make_layer(symmetric_encryption_keys=KEYS)
    await use(with_file)
    await until(lambda: '"signature"' in stored(pair[0], "hosts"), SECONDS)
    monkeypatch.delenv("REALTIME_GATEWAY_CONFIG")
    without_file = make_layer({"name": "one", **pair[0].connection}, symmetric_encryption_keys=KEYS)
    await use(without_file)
    assert epoch_of(without_file) == 1


async def test_what_waits_in_queues_is_taken_once_and_in_order_by_a_worker_that_comes_after_the_change(
    file: Path, pair: tuple[Shard, Shard], make_layer: Make
) -> None:
    sender = make_layer()
    queues = [f"work-{number}" for number in range(8)]
    assert {grown(pair).owner(queue).name for queue in queues} == {"one", "two"}, "some of them move"
    for number in range(5):
        for queue in queues:
            await sender.send(queue, {"type": "job", "n": number})
    put(file, grown(pair).to_json())
    await until(lambda: epoch_of(sender) == 2, SECONDS)
    for number in range(5, 10):
        for queue in queues:
            await sender.send(queue, {"type": "job", "n": number})
    worker = make_layer()
    for queue in queues:
        async with asyncio.timeout(SECONDS):
            assert [(await worker.receive(queue))["n"] for _ in range(10)] == list(range(10))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await worker.receive(queue)
