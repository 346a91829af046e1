"""`realtime-gateway hosts` where lists on shards are signed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.hosts_command import (
    NOT_YET,
    RESOURCE,
    connections,
    hosts,
    keep,
    set_quickly,
    shards,
    store,
    stored,
    work,
    write,
)
from tests.support.redis_process import RedisProcess

from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]
EXPIRY_SECONDS = 3  # each retirement waits for that


async def test_a_signed_list_is_changed_only_by_who_has_the_keys(
    three_servers: tuple[RedisProcess, ...], make_layer: Make, resource: Path, tmp_path: Path
) -> None:
    one, two, _ = three_servers
    documents = Documents(["a secret"], "asgi")
    store(one, HostList(4, shards(one)), documents.write(HostList(4, shards(one))))
    layer = make_layer(one.url, expiry=EXPIRY_SECONDS, symmetric_encryption_keys=["a secret"])
    await work(layer)
    words = (f"{one.url},{two.url}", "--hosts", one.url)
    refused = await set_quickly(*words, resource=resource)
    assert (refused.code, "--keys-file" in refused.err) == (1, True)
    keys = tmp_path / "keys"
    write(keys, "another secret\n")
    assert "is not signed with a key" in (await set_quickly(*words, "--keys-file", str(keys), resource=resource)).err
    write(keys, " a secret \n \n")  # blanks count for nothing, as in the layer's own file
    done = await set_quickly(*words, "--keys-file", str(keys), resource=resource)
    assert done.code == 0, done
    await work(layer)
    for server in (one, two):
        with server.client as client:
            assert documents.read(client.get("asgi:hosts") or b"", "the shard") == HostList(6, shards(one, two))


async def test_with_keys_an_unsigned_list_is_neither_followed_nor_signed(
    three_servers: tuple[RedisProcess, ...], resource: Path, tmp_path: Path
) -> None:
    ours, evil, new = three_servers
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
    three_servers: tuple[RedisProcess, ...], resource: Path, tmp_path: Path
) -> None:
    ours, *_ = three_servers
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
    three_servers: tuple[RedisProcess, ...], resource: Path, tmp_path: Path
) -> None:
    one, two, _ = three_servers
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
