"""`realtime-gateway hosts` as a test runs it, and what it is to find on shards."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer import RedisChannelLayer
from tests.support.redis_process import RedisProcess

NOT_YET = 3  # its exit code
# Messages live for a second, so that it is what processes report that is waited for.
RESOURCE = (
    "apiVersion: realtime-gateway.io/v1alpha1\nkind: RealtimeGateway\nmetadata: {name: chat}\n"
    "spec: {application: 'chat.asgi:application', channelLayer: {expirySeconds: 1}}\n"
)


@dataclass(frozen=True)
class Ended:
    code: int | None
    out: str
    err: str


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


def connections(server: RedisProcess) -> int:
    with server.client as client:
        return int(client.info("stats")["total_connections_received"])


def keep(path: Path, hosts: HostList) -> None:
    write(path, hosts.to_json())


def write(path: Path, text: str) -> None:
    path.write_text(text)
