"""`realtime-gateway hosts` against real servers, with channel layers at work on them."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.support.free_port import free_port
from tests.support.hosts_command import NOT_YET, hosts, keep, set_quickly, shards, start, store, stored, work
from tests.support.redis_process import RedisProcess

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]
EXPIRY_SECONDS = 3


@pytest.fixture
def make(make_layer: Make) -> Make:
    """Make layers whose messages live shortly, since each retirement waits for that."""
    return partial(make_layer, expiry=EXPIRY_SECONDS)


async def listen(layer: RedisChannelLayer, channel: str, got: list[int]) -> None:
    while True:
        got.append((await layer.receive(channel))["n"])


async def test_a_plain_list_is_shown_with_its_shards_and_processes(
    three_servers: tuple[RedisProcess, ...], make: Make
) -> None:
    one, two, _ = three_servers
    await work(make(one.url, two.url))
    shown = await hosts("show", environment={"REDIS_URL": f"{one.url},{two.url}"})
    assert shown.code == 0, shown
    assert "a plain list, epoch 0" in shown.out
    assert f"pid-{os.getpid()}" in shown.out
    assert shown.out.count("in step") == 2


async def test_what_is_not_in_order_is_said_and_is_the_exit_code(three_servers: tuple[RedisProcess, ...]) -> None:
    one, two, three = three_servers
    dead = Shard("3", 1.0, {"address": f"redis://:secret@127.0.0.1:{free_port()}"})
    newest = HostList(4, (*shards(one, two, three), dead))
    for server in (one, two):
        store(server, newest)
    store(three, HostList(3, shards(three)))
    shown = await hosts("show", "--json", "--hosts", one.url)
    said = json.loads(shown.out)
    assert (shown.code, said["in_order"], said["epoch"]) == (NOT_YET, False, 4)
    assert [shard["state"].split(":")[0] for shard in said["shards"]] == [
        "in step", "in step", "is at epoch 3", "cannot be read",
    ]  # fmt: skip
    assert "secret" not in shown.out + shown.err


async def test_without_an_answer_from_any_shard_it_says_why(tmp_path: Path) -> None:
    shown = await hosts("show", "--hosts", f"redis://:secret@127.0.0.1:{free_port()}")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith("realtime-gateway hosts: The Redis shard '0' does not answer:")
    assert "secret" not in shown.err
    missing = await hosts("show", "--config", str(tmp_path / "missing.json"))
    assert missing.code == 1
    assert "missing.json cannot be read" in missing.err


async def test_a_difference_is_told_with_the_share_of_keys_that_would_move(
    three_servers: tuple[RedisProcess, ...],
) -> None:
    one, two, three = three_servers
    store(one, HostList(4, shards(one, two)))
    found = await hosts("diff", f"{two.url},{three.url},{one.url}", "--hosts", one.url)
    assert found.code == NOT_YET
    change, share = found.out.splitlines()
    assert change == f"+ 2  {three.url}", "a URL that is in the list keeps its name there"
    assert 32 < float(share.split("%")[0]) < 34.5
    same = await hosts("diff", f"{one.url},{two.url}", "--hosts", one.url)
    assert (same.code, same.out) == (0, "no difference\n")


async def test_another_list_is_set_while_layers_work_and_none_of_their_messages_is_lost(
    three_servers: tuple[RedisProcess, ...], make: Make, resource: Path
) -> None:
    one, two, _ = three_servers
    sender, receiver = make(one.url), make(one.url, capacity=100_000)
    channel = await receiver.new_channel()
    for number in range(12):
        await receiver.group_add(f"room-{number}", channel)
    process = await start(
        "set", f"{one.url},{two.url}", "--hosts", one.url, environment={"REALTIME_GATEWAY_RESOURCE": str(resource)}
    )
    got: list[int] = []
    receiving = asyncio.create_task(listen(receiver, channel, got))
    sent = 0
    while process.returncode is None:
        await sender.group_send(f"room-{sent % 12}", {"type": "count", "n": sent})
        sent += 1
        await asyncio.sleep(0.005)
    out, err = (one.decode() for one in await process.communicate())
    assert process.returncode == 0, err
    assert f"the earlier lists are retired in {EXPIRY_SECONDS} s" in out
    async with asyncio.timeout(20):
        while len(got) < sent:
            await asyncio.sleep(0.05)
    receiving.cancel()
    assert sorted(got) == list(range(sent))
    for room in range(12):
        assert [n for n in got if n % 12 == room] == list(range(room, sent, 12))
    assert stored(one) == stored(two) == HostList(2, shards(one, two))
    again = await set_quickly(f"{one.url},{two.url}", "--hosts", one.url, resource=resource)
    assert again.code == 0
    assert stored(one) == HostList(2, shards(one, two)), "nothing is changed where nothing differs"


async def test_a_list_in_a_file_is_set_and_the_deployments_file_is_kept_up_to_date(
    three_servers: tuple[RedisProcess, ...], make: Make, resource: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = three_servers
    config, target = tmp_path / "hosts.json", tmp_path / "target.json"
    first = HostList(6, (Shard("a", 1.0, {"address": one.url}), Shard("b", 1.0, {"address": two.url})))
    wanted = HostList(0, (first.shards[0], Shard("c", 2.0, {"address": three.url})))
    keep(config, first)
    keep(target, wanted)
    monkeypatch.setenv("REALTIME_GATEWAY_CONFIG", str(config))
    layer = make()
    await work(layer)
    done = await set_quickly(str(target), "--config", str(config), resource=resource)
    assert done.code == 0, done
    assert [line[:3] for line in done.out.splitlines()[:2]] == ["- b", "+ c"]
    final = HostList(8, wanted.shards)
    assert stored(one) == stored(three) == read(config) == final
    await work(layer)


async def test_it_may_be_killed_and_run_again(
    three_servers: tuple[RedisProcess, ...], make: Make, resource: Path
) -> None:
    one, two, _ = three_servers
    await work(make(one.url))
    process = await start("set", f"{one.url},{two.url}", "--hosts", one.url)
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b"epoch 1"):
            process.kill()
            break
    await process.communicate()
    shown = await hosts("show", "--hosts", one.url)
    assert shown.code == NOT_YET
    assert "arlier lists are not retired: 0" in shown.out
    done = await set_quickly(f"{one.url},{two.url}", "--hosts", one.url, resource=resource)
    assert done.code == 0, done
    assert stored(one) == stored(two) == HostList(2, shards(one, two))
    assert (await hosts("show", "--hosts", one.url)).code == 0


async def test_a_process_that_does_not_follow_is_waited_for_by_name_and_nothing_is_retired(
    three_servers: tuple[RedisProcess, ...], make: Make, resource: Path
) -> None:
    one, two, _ = three_servers
    await work(make(one.url, follow_hosts=False))
    done = await set_quickly(f"{one.url},{two.url}", "--hosts", one.url, "--timeout", "4", resource=resource)
    assert done.code == NOT_YET
    assert f"waiting for pid-{os.getpid()} to use epoch 1" in done.out
    assert done.out.endswith("run the same command again to go on\n")
    assert stored(two) == HostList(1, shards(one, two), (HostList(0, shards(one)),))


async def test_a_shard_that_does_not_answer_keeps_a_new_list_from_being_made(
    three_servers: tuple[RedisProcess, ...], resource: Path
) -> None:
    one, *_ = three_servers
    dead = f"redis://127.0.0.1:{free_port()}"
    done = await set_quickly(f"{one.url},{dead}", "--hosts", one.url, resource=resource)
    assert done.code == 1
    assert "nothing was changed" in done.err
    assert stored(one) is None


async def test_a_shard_that_is_dead_can_be_taken_out(three_servers: tuple[RedisProcess, ...], resource: Path) -> None:
    one, two, three = three_servers
    for server in (one, two, three):
        store(server, HostList(4, shards(one, two, three)))
    one.kill()
    done = await set_quickly(f"{two.url},{three.url}", "--hosts", two.url, resource=resource)
    assert done.code == 0, done
    assert stored(two) == stored(three) == HostList(6, shards(one, two, three)[1:])


async def test_of_two_who_change_the_list_at_once_one_is_told_of_the_other_and_no_epoch_has_two_contents(
    three_servers: tuple[RedisProcess, ...], resource: Path
) -> None:
    one, two, three = three_servers
    ended = await asyncio.gather(
        *(set_quickly(f"{one.url},{other.url}", "--hosts", one.url, resource=resource) for other in (two, three))
    )
    assert sorted(one.code or 0 for one in ended) in ([0, 1], [0, 0]), ended  # [0, 0]: one was over before the other
    final = stored(one)
    assert final is not None
    assert final.earlier == ()
    known = [held for held in (stored(two), stored(three)) if held]
    assert all(held.same_as(final) for held in known if held.epoch == final.epoch)


async def test_a_list_that_somebody_makes_is_not_set(three_servers: tuple[RedisProcess, ...], resource: Path) -> None:
    one, two, _ = three_servers
    theirs = HostList(4, shards(one), managed_by="RealtimeGateway default/chat")
    store(one, theirs)
    done = await set_quickly(f"{one.url},{two.url}", "--hosts", one.url, resource=resource)
    assert done.code == 1
    assert done.err == (
        "realtime-gateway hosts: RealtimeGateway default/chat makes the lists of this deployment (epoch 4).\n"
        "Change its resource (spec.redis) instead.\n"
    )
    assert stored(one) == theirs


async def test_the_rights_of_the_data_plane_are_enough(
    three_servers: tuple[RedisProcess, ...], resource: Path, make: Make
) -> None:
    document = project() / "docs" / "channel-layer.md"
    line = re.search(r"ACL SETUSER chat on >PASSWORD (.+?)\n\n", await asyncio.to_thread(document.read_text), re.DOTALL)
    assert line, "the document has no line with the rights"
    rights = line.group(1).replace("\\\n", " ").split()
    urls = []
    for server in three_servers[:2]:
        with server.client as client:
            client.execute_command("ACL", "SETUSER", "chat", "reset", "on", ">secret", *rights)
        urls.append(f"redis://chat:secret@127.0.0.1:{server.port}")
    await work(make(urls[0]))
    done = await set_quickly(",".join(urls), "--hosts", urls[0], resource=resource)
    assert done.code == 0, done
    shown = await hosts("show", "--hosts", urls[0])
    assert shown.code == 0, shown
    assert "secret" not in done.out + shown.out


def project() -> Path:
    return Path(__file__).parents[3]


def read(path: Path) -> HostList:
    return HostList.from_json(path.read_bytes(), str(path))
