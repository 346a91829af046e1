"""`realtime-gateway hosts` against real servers, with channel layers at work on them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess

from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]
NOT_YET = 3
EXPIRY_SECONDS = 3


@dataclass(frozen=True)
class Ended:
    code: int | None
    out: str
    err: str


@pytest.fixture
def make(make_layer: Make) -> Make:
    """Make layers whose messages live shortly, since each retirement waits for that."""
    return partial(make_layer, expiry=EXPIRY_SECONDS)


@pytest.fixture
def servers() -> Iterator[tuple[RedisProcess, RedisProcess, RedisProcess]]:
    with RedisProcess() as one, RedisProcess() as two, RedisProcess() as three:
        yield one, two, three


async def start(*words: str, environment: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    named = {name: value for name, value in os.environ.items() if not name.startswith(("REDIS_", "REALTIME_"))}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "realtime_gateway.cli.main", "hosts", *words),
        env={**named, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def hosts(*words: str, **more: Any) -> Ended:
    process = await start(*words, **more)
    out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


async def set_quickly(*words: str, resource: Path, **more: Any) -> Ended:
    return await hosts("set", *words, environment={"REALTIME_GATEWAY_RESOURCE": str(resource)}, **more)


RESOURCE = (
    "apiVersion: realtime-gateway.io/v1alpha1\nkind: RealtimeGateway\nmetadata: {name: chat}\n"
    "spec: {application: 'chat.asgi:application', channelLayer: {expirySeconds: 1}}\n"
)


@pytest.fixture
def resource(tmp_path: Path) -> Path:
    """A resource whose messages live for a second, so that it is what processes report that is waited for."""
    path = tmp_path / "gateway.yaml"
    path.write_text(RESOURCE)
    return path


def stored(server: RedisProcess) -> HostList | None:
    with server.client as client:
        text = client.get("asgi:hosts")
    assert text is None or isinstance(text, bytes)
    return HostList.from_json(text, "the shard") if text else None


def store(server: RedisProcess, hosts: HostList, document: str = "") -> None:
    with server.client as client:
        client.mset({"asgi:epoch": hosts.epoch, "asgi:hosts": document or hosts.to_json()})


def shards(*servers: RedisProcess) -> tuple[Shard, ...]:
    return tuple(Shard(str(number), 1.0, {"address": server.url}) for number, server in enumerate(servers))


async def work(layer: RedisChannelLayer) -> None:
    channel = await layer.new_channel()
    for number in range(12):
        await layer.group_add(f"room-{number}", channel)
        await layer.group_send(f"room-{number}", {"type": "count", "n": number})
        async with asyncio.timeout(15):
            assert (await layer.receive(channel))["n"] == number


async def listen(layer: RedisChannelLayer, channel: str, got: list[int]) -> None:
    while True:
        got.append((await layer.receive(channel))["n"])


async def test_a_plain_list_is_shown_with_its_shards_and_processes(
    servers: tuple[RedisProcess, ...], make: Make
) -> None:
    one, two, _ = servers
    await work(make(one.url, two.url))
    shown = await hosts("show", environment={"REDIS_URL": f"{one.url},{two.url}"})
    assert shown.code == 0, shown
    assert "a plain list, epoch 0" in shown.out
    assert f"pid-{os.getpid()}" in shown.out
    assert shown.out.count("in step") == 2


async def test_what_is_not_in_order_is_said_and_is_the_exit_code(servers: tuple[RedisProcess, ...]) -> None:
    one, two, three = servers
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


async def test_a_difference_is_told_with_the_share_of_keys_that_would_move(servers: tuple[RedisProcess, ...]) -> None:
    one, two, three = servers
    store(one, HostList(4, shards(one, two)))
    found = await hosts("diff", f"{two.url},{three.url},{one.url}", "--hosts", one.url)
    assert found.code == NOT_YET
    change, share = found.out.splitlines()
    assert change == f"+ 2  {three.url}", "a URL that is in the list keeps its name there"
    assert 32 < float(share.split("%")[0]) < 34.5
    same = await hosts("diff", f"{one.url},{two.url}", "--hosts", one.url)
    assert (same.code, same.out) == (0, "no difference\n")


async def test_another_list_is_set_while_layers_work_and_none_of_their_messages_is_lost(
    servers: tuple[RedisProcess, ...], make: Make, resource: Path
) -> None:
    one, two, _ = servers
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
    servers: tuple[RedisProcess, ...], make: Make, resource: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = servers
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


async def test_it_may_be_killed_and_run_again(servers: tuple[RedisProcess, ...], make: Make, resource: Path) -> None:
    one, two, _ = servers
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
    servers: tuple[RedisProcess, ...], make: Make, resource: Path
) -> None:
    one, two, _ = servers
    await work(make(one.url, follow_hosts=False))
    done = await set_quickly(f"{one.url},{two.url}", "--hosts", one.url, "--timeout", "4", resource=resource)
    assert done.code == NOT_YET
    assert f"waiting for pid-{os.getpid()} to use epoch 1" in done.out
    assert done.out.endswith("run the same command again to go on\n")
    assert stored(two) == HostList(1, shards(one, two), (HostList(0, shards(one)),))


async def test_a_shard_that_does_not_answer_keeps_a_new_list_from_being_made(
    servers: tuple[RedisProcess, ...], resource: Path
) -> None:
    one, *_ = servers
    dead = f"redis://127.0.0.1:{free_port()}"
    done = await set_quickly(f"{one.url},{dead}", "--hosts", one.url, resource=resource)
    assert done.code == 1
    assert "nothing was changed" in done.err
    assert stored(one) is None


async def test_a_shard_that_is_dead_can_be_taken_out(servers: tuple[RedisProcess, ...], resource: Path) -> None:
    one, two, three = servers
    for server in (one, two, three):
        store(server, HostList(4, shards(one, two, three)))
    one.kill()
    done = await set_quickly(f"{two.url},{three.url}", "--hosts", two.url, resource=resource)
    assert done.code == 0, done
    assert stored(two) == stored(three) == HostList(6, shards(one, two, three)[1:])


async def test_of_two_who_change_the_list_at_once_one_is_told_of_the_other_and_no_epoch_has_two_contents(
    servers: tuple[RedisProcess, ...], resource: Path
) -> None:
    one, two, three = servers
    ended = await asyncio.gather(
        *(set_quickly(f"{one.url},{other.url}", "--hosts", one.url, resource=resource) for other in (two, three))
    )
    assert sorted(one.code or 0 for one in ended) in ([0, 1], [0, 0]), ended  # [0, 0]: one was over before the other
    final = stored(one)
    assert final is not None
    assert final.earlier == ()
    known = [held for held in (stored(two), stored(three)) if held]
    assert all(held.same_as(final) for held in known if held.epoch == final.epoch)


async def test_a_list_that_somebody_makes_is_not_set(servers: tuple[RedisProcess, ...], resource: Path) -> None:
    one, two, _ = servers
    theirs = HostList(4, shards(one), managed_by="RealtimeGateway default/chat")
    store(one, theirs)
    done = await set_quickly(f"{one.url},{two.url}", "--hosts", one.url, resource=resource)
    assert done.code == 1
    assert done.err == (
        "realtime-gateway hosts: RealtimeGateway default/chat makes the lists of this deployment (epoch 4).\n"
        "Change its resource (spec.redis) instead.\n"
    )
    assert stored(one) == theirs


async def test_a_signed_list_is_changed_only_by_who_has_the_keys(
    servers: tuple[RedisProcess, ...], make: Make, resource: Path, tmp_path: Path
) -> None:
    one, two, _ = servers
    documents = Documents(["a secret"], "asgi")
    store(one, HostList(4, shards(one)), documents.write(HostList(4, shards(one))))
    layer = make(one.url, symmetric_encryption_keys=["a secret"])
    await work(layer)
    words = (f"{one.url},{two.url}", "--hosts", one.url)
    refused = await set_quickly(*words, resource=resource)
    assert (refused.code, "--keys-file" in refused.err) == (1, True)
    keys = tmp_path / "keys"
    write(keys, "another secret\n")
    assert "is not signed with a key" in (await set_quickly(*words, "--keys-file", str(keys), resource=resource)).err
    write(keys, "a secret\n")
    done = await set_quickly(*words, "--keys-file", str(keys), resource=resource)
    assert done.code == 0, done
    await work(layer)
    for server in (one, two):
        with server.client as client:
            assert documents.read(client.get("asgi:hosts") or b"", "the shard") == HostList(6, shards(one, two))


async def test_with_keys_an_unsigned_list_is_neither_followed_nor_signed(
    servers: tuple[RedisProcess, ...], resource: Path, tmp_path: Path
) -> None:
    ours, evil, new = servers
    theirs = HostList(5, shards(ours), (HostList(4, (Shard("evil", 1.0, {"address": evil.url}),)),))
    store(ours, theirs)
    keys = tmp_path / "keys"
    write(keys, "a secret\n")
    given = ("--hosts", ours.url, "--keys-file", str(keys))
    before = connections(evil)
    refused = await set_quickly(f"{ours.url},{new.url}", *given, resource=resource)
    assert refused.code == 1
    assert "The list of epoch 5 on shard 0 is not signed with a key of this channel layer" in refused.err
    assert "asgi:hosts and asgi:epoch" in refused.err
    shown = await hosts("show", *given)
    assert shown.code == NOT_YET
    assert "holds a list of epoch 5 that is not signed with the layer's keys" in shown.out
    assert connections(evil) == before + 1, "but for the look at it here"
    assert (stored(ours), stored(new)) == (theirs, None)


async def test_in_a_pod_the_keys_are_those_of_its_secret(
    servers: tuple[RedisProcess, ...], resource: Path, tmp_path: Path
) -> None:
    ours, *_ = servers
    hosts_of_two = HostList(5, shards(ours))
    key = "a key of 16 characters"
    named = RESOURCE.replace("{expirySeconds: 1}", "{encryptionKeysSecretRef: {name: layer, key: keys}}")
    write(resource, named)
    environment = {"REALTIME_GATEWAY_RESOURCE": str(resource), "REALTIME_GATEWAY_SECRETS": str(tmp_path)}
    write(tmp_path / "encryption-keys", key)
    store(ours, hosts_of_two)
    shown = await hosts("show", "--hosts", ours.url, environment=environment)
    assert "holds a list of epoch 5 that is not signed with the layer's keys" in shown.out
    store(ours, hosts_of_two, Documents([key], "asgi").write(hosts_of_two))
    shown = await hosts("show", "--hosts", ours.url, environment=environment)
    assert "not signed" not in shown.out
    assert key not in shown.out + shown.err


async def test_a_list_from_before_there_were_keys_is_trusted_from_a_file_and_the_next_one_is_signed(
    servers: tuple[RedisProcess, ...], resource: Path, tmp_path: Path
) -> None:
    one, two, _ = servers
    present = HostList(5, shards(one))
    store(one, present)
    keys, config = tmp_path / "keys", tmp_path / "hosts.json"
    write(keys, "a secret\n")
    keep(config, present)
    done = await set_quickly(
        f"{one.url},{two.url}", "--config", str(config), "--keys-file", str(keys), resource=resource
    )
    assert done.code == 0, done
    documents = Documents(["a secret"], "asgi")
    for server in (one, two):
        with server.client as client:
            assert documents.read(client.get("asgi:hosts") or b"", "the shard") == HostList(7, shards(one, two))


def connections(server: RedisProcess) -> int:
    with server.client as client:
        return int(client.info("stats")["total_connections_received"])


async def test_the_rights_of_the_data_plane_are_enough(
    servers: tuple[RedisProcess, ...], resource: Path, make: Make
) -> None:
    document = project() / "docs" / "channel-layer.md"
    line = re.search(r"ACL SETUSER chat on >PASSWORD (.+?)\n\n", await asyncio.to_thread(document.read_text), re.DOTALL)
    assert line, "the document has no line with the rights"
    rights = line.group(1).replace("\\\n", " ").split()
    urls = []
    for server in servers[:2]:
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


def keep(path: Path, hosts: HostList) -> None:
    write(path, hosts.to_json())


def write(path: Path, text: str) -> None:
    path.write_text(text)


def read(path: Path) -> HostList:
    return HostList.from_json(path.read_bytes(), str(path))
