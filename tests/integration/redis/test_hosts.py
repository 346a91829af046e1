"""Every way to say where Redis is, and which host list counts."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.conditions import until
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess, SentinelProcess

from realtime_gateway.errors import ShardUnavailable
from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("tls")
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, certificate


@pytest.fixture(scope="module")
def secured(certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    key, crt = certificate
    options = ("--tls-port", str(free_port()), "--tls-cert-file", str(crt), "--tls-key-file", str(key))
    socket = tmp_path_factory.mktemp("socket") / "redis.sock"
    more = ("--tls-ca-cert-file", str(crt), "--tls-auth-clients", "no", "--unixsocket", str(socket))
    with RedisProcess(*options, *more) as server:
        with server.client as client:
            client.execute_command("ACL", "SETUSER", "app", "on", ">pa:ss@w~rd", "~*", "&*", "+@all")
        yield server


def option(server: RedisProcess, name: str) -> str:
    return server.options[server.options.index(name) + 1]


async def works(layer: RedisChannelLayer) -> bool:
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "hello"})
    async with asyncio.timeout(10):
        return bool(await layer.receive(channel) == {"type": "hello"})


FORMS: dict[str, Callable[[RedisProcess, Path], Any]] = {
    "a URL": lambda server, _: f"redis://127.0.0.1:{server.port}",
    "a URL with a database": lambda server, _: f"redis://127.0.0.1:{server.port}/3",
    "a URL with a user and a password": lambda server, _: f"redis://app:pa%3Ass%40w~rd@127.0.0.1:{server.port}/0",
    "a URL with options": lambda server, _: f"redis://127.0.0.1:{server.port}?db=2&socket_keepalive=yes",
    "a pair": lambda server, _: ("127.0.0.1", server.port),
    "a list of two": lambda server, _: ["127.0.0.1", server.port],
    "a dict with host and port": lambda server, _: {"host": "127.0.0.1", "port": server.port, "db": 1},
    "a dict with an address": lambda server, _: {"address": f"redis://127.0.0.1:{server.port}", "db": 4},
    "a dict with options of a pool": lambda server, _: {
        "address": f"redis://127.0.0.1:{server.port}", "max_connections": 5, "health_check_interval": 10,
        "socket_timeout": 5, "retry_on_timeout": True, "decode_responses": True, "protocol": 3,
    },
    "a unix socket's URL": lambda server, _: f"unix://{option(server, '--unixsocket')}?db=5",
    "a unix socket's path": lambda server, _: {"path": option(server, "--unixsocket")},
    "TLS with the right authority": lambda server, crt: {
        "address": f"rediss://localhost:{option(server, '--tls-port')}", "ssl_ca_certs": str(crt),
    },
    "TLS without a check": lambda server, _: f"rediss://127.0.0.1:{option(server, '--tls-port')}?ssl_cert_reqs=none",
    "TLS in a dict": lambda server, crt: {
        "host": "localhost", "port": int(option(server, "--tls-port")), "ssl": True, "ssl_ca_certs": str(crt),
    },
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
async def test_a_host_may_be_given_as(
    form: str, secured: RedisProcess, certificate: tuple[Path, Path], make_layer: Make
) -> None:
    assert await works(make_layer(FORMS[form](secured, certificate[1])))


async def test_a_certificate_of_nobody_is_not_trusted(secured: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(f"rediss://localhost:{option(secured, '--tls-port')}", send_timeout=0.5)
    with pytest.raises(ShardUnavailable, match="certificate"):
        await layer.group_send("room", {"type": "x"})


async def test_forms_may_be_mixed_and_sentinels_stand_among_them(secured: RedisProcess, make_layer: Make) -> None:
    with RedisProcess() as watched, SentinelProcess({"mixed": watched}) as sentinel:
        dead = ("127.0.0.1", free_port())
        layer = make_layer(
            {"sentinels": [dead, sentinel.address], "master_name": "mixed"},
            f"redis://127.0.0.1:{secured.port}/1",
            {"path": option(secured, "--unixsocket"), "db": 2},
        )
        channel = await layer.new_channel()
        for number in range(20):
            await layer.group_add(f"room-{number}", channel)
            await layer.group_send(f"room-{number}", {"type": "count", "n": number})
            assert (await layer.receive(channel))["n"] == number
        with watched.client as client:
            assert client.keys("asgi:g:*")


async def test_two_databases_of_one_server_do_not_meet(secured: RedisProcess, make_layer: Make) -> None:
    one = make_layer(f"redis://127.0.0.1:{secured.port}/6")
    two = make_layer({"host": "127.0.0.1", "port": secured.port, "db": 7})
    channel_one, channel_two = await one.new_channel(), await two.new_channel()
    await one.group_add("room", channel_one)
    await two.group_add("room", channel_two)
    await one.group_send("room", {"type": "one"})
    await two.group_send("room", {"type": "two"})
    assert (await one.receive(channel_one))["type"] == "one"
    assert (await two.receive(channel_two))["type"] == "two"


async def test_redis_url_is_used_when_config_names_no_hosts(
    secured: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"{secured.url}/8, {secured.url}/9")
    layer = make_layer()
    assert [shard.name for shard in layer.hosts.shards] == ["0", "1"]
    assert await works(layer)


async def test_the_mounted_file_replaces_the_hosts_of_config(
    secured: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO, "realtime_gateway.layer")
    document = tmp_path / "hosts.json"
    hosts = HostList(
        3, (Shard("a", 1, {"address": f"{secured.url}/10"}), Shard("b", 1, {"address": f"{secured.url}/11"}))
    )
    document.write_text(hosts.to_json())
    monkeypatch.setenv("REALTIME_GATEWAY_CONFIG", str(document))
    layer = make_layer("redis://nowhere.invalid")
    assert await works(layer)
    assert f"{document} replaces the hosts" in caplog.text
    with secured.client as client:
        client.execute_command("SELECT", 10)
        assert client.get("asgi:epoch") == b"3"
        assert json.loads(client.get("asgi:hosts") or b"") == hosts.to_document()


async def test_a_plain_list_stores_no_document(secured: RedisProcess, make_layer: Make) -> None:
    assert await works(make_layer(secured.url, prefix="plain"))
    with secured.client as client:
        assert not client.exists("plain:epoch", "plain:hosts")


async def test_a_newer_document_on_the_shards_wins_over_a_plain_list(
    secured: RedisProcess, make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "realtime_gateway.layer")
    with RedisProcess() as other:
        newer = HostList(2, (Shard("x", 1, {"address": other.url}),))
        with secured.client as client:
            client.mset({"moved:epoch": 2, "moved:hosts": newer.to_json()})
        plain = make_layer(secured.url, prefix="moved")
        assert await works(plain)
        assert "host list of epoch 2 is in use" in caplog.text
        with other.client as client:
            assert client.exists("moved:g:room")
            assert client.get("moved:epoch") == b"2"


async def test_a_pinned_list_stays_whatever_the_shards_hold(secured: RedisProcess, make_layer: Make) -> None:
    newer = HostList(2, (Shard("x", 1, {"address": f"redis://127.0.0.1:{free_port()}"}),))
    with secured.client as client:
        client.mset({"pinned:epoch": 2, "pinned:hosts": newer.to_json()})
    layer = make_layer(secured.url, prefix="pinned", follow_hosts=False)
    assert await works(layer)
    await layer.group_add("room", "work")
    await layer.group_send("room", {"type": "job"})
    assert await layer.receive("work") == {"type": "job"}


async def test_a_document_whose_shards_are_all_out_of_reach_replaces_nothing(
    secured: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(secured.url, prefix="mistaken", send_timeout=2)
    assert await works(layer)
    mistake = HostList(2, (Shard("x", 1, {"address": f"redis://127.0.0.1:{free_port()}"}),))
    with secured.client as client:
        client.publish("mistaken:0:control", mistake.to_json())
    channel = await layer.new_channel()
    for number in range(10):
        await asyncio.sleep(0.05)
        await layer.send(channel, {"type": "count", "n": number})
        assert (await layer.receive(channel))["n"] == number


async def test_a_list_that_grows_while_running_is_followed_by_everybody(make_layer: Make) -> None:
    with RedisProcess() as first, RedisProcess() as second:
        shards = (Shard("0", 1, {"address": first.url}), Shard("1", 1, {"address": second.url}))
        sender, receiver = make_layer(first.url), make_layer(first.url, capacity=10_000)
        channel = await receiver.new_channel()
        for number in range(10):
            await receiver.group_add(f"room-{number}", channel)
        sent = []
        for number in range(300):
            if number == 100:
                grown = HostList(1, shards, (HostList(0, shards[:1]),))
                with first.client as client:
                    client.mset({"asgi:epoch": 1, "asgi:hosts": grown.to_json()})
            await sender.group_send(f"room-{number % 10}", {"type": "count", "n": number, "room": number % 10})
            sent.append(number)
        got = []
        async with asyncio.timeout(20):
            while len(got) < 300:
                got.append(await receiver.receive(channel))
        assert sorted(message["n"] for message in got) == sent
        for room in range(10):
            assert [message["n"] for message in got if message["room"] == room] == sent[room::10]
        with second.client as client:
            assert client.keys("asgi:g:room-*")


async def test_normal_channels_stay_in_their_groups_when_the_list_grows_and_shrinks(make_layer: Make) -> None:
    with RedisProcess() as first, RedisProcess() as second:
        shards = (Shard("0", 1, {"address": first.url}), Shard("1", 1, {"address": second.url}))
        one = HostList(1, shards[:1])
        grown = HostList(2, shards, (one,))
        # The second list is retired by the third; what it left behind is dropped before the fourth comes.
        lists = (one, grown, HostList(3, shards), HostList(4, shards[:1], (HostList(3, shards),)))
        sender, worker = make_layer(first.url), make_layer(first.url)
        await asyncio.gather(sender.new_channel(), worker.new_channel())  # from here on they follow the list
        for hosts in lists:
            with first.client as client:
                client.mset({"asgi:epoch": hosts.epoch, "asgi:hosts": hosts.to_json()})
            await until(lambda hosts=hosts: epochs(sender, worker) == {hosts.epoch})
            for number in range(10):
                if hosts.epoch == 1:
                    await worker.group_add(f"room-{number}", "work")
                    await worker.group_add(f"room-{number}", "gone")
                if hosts.epoch == 2:
                    await worker.group_discard(f"room-{number}", "gone")
                await sender.group_send(f"room-{number}", {"type": "count", "n": number})
            async with asyncio.timeout(20):
                got = [(await worker.receive("work"))["n"] for _ in range(10)]
            assert sorted(got) == list(range(10)), f"epoch {hosts.epoch}"
        held = [key for server in (first, second) for key in keys_of(server, "asgi:q:gone")]
        assert len(held) == 1, "only what was sent in the first epoch"


def keys_of(server: RedisProcess, pattern: str) -> list[bytes]:
    with server.client as client:
        return list(client.keys(pattern))


def epochs(*layers: RedisChannelLayer) -> set[int]:
    return {layer._binding.state.machine.epochs.hosts.epoch for layer in layers}
