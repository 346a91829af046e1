"""Shards come and go while clients chat: every message is counted at every client."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.local.conftest import HEAD
from tests.support.redis_process import RedisProcess, redis_server_program
from tests.support.replaced_file import put
from tests.support.up_process import UpProcess
from websockets.asyncio.client import ClientConnection, connect
from websockets.sync.client import ClientConnection as SyncConnection
from websockets.sync.client import connect as connect_now

from realtime_gateway.hosts import HostList, Shard

pytestmark = pytest.mark.skipif(redis_server_program() is None, reason="no redis-server")

ROOMS = 24
PAUSE_SECONDS = 0.05
# Short, since each retirement waits for it; long enough that no word expires on a busy machine.
EXPIRY_SECONDS = 6
QUIET_SECONDS = 10

APPLICATION = '''
"""A room for each path: whatever one client sends, every client of the room gets."""
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of a test", INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "realtime_gateway.layer.RedisChannelLayer", "CONFIG": {"capacity": 10000}}},
)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer


class Room(AsyncWebsocketConsumer):
    async def connect(self):
        self.room = self.scope["path"].strip("/")
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive(self, text_data):
        await self.channel_layer.group_send(self.room, {"type": "word", "text": text_data})

    async def word(self, event):
        await self.send(text_data=event["text"])


websocket = Room.as_asgi()


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
'''


def write(directory: Path, redis: str, expiry_seconds: int = EXPIRY_SECONDS) -> Path:
    spec = [
        "application: rooms:application",
        "replicas: 2",
        f"redis: {redis}",
        f"channelLayer: {{expirySeconds: {expiry_seconds}}}",
        "drain: {periodSeconds: 1}",
    ]
    (directory / "rooms.py").write_text(APPLICATION)
    return put(directory / "gateway.yaml", HEAD + "".join(f"  {line}\n" for line in spec))


def managed(shards: int, replicas: int = 1) -> str:
    return f"{{managed: {{shards: {shards}, replicas: {replicas}, sentinels: 3}}}}"


def external(*servers: RedisProcess) -> str:
    hosts = ", ".join(f"{{name: shard-{number}, url: {server.url}}}" for number, server in enumerate(servers))
    return f"{{external: {{hosts: [{hosts}]}}}}"


def stored(server: RedisProcess) -> HostList:
    with server.client as client:
        return HostList.from_json(client.get("asgi:hosts") or b"", "the shard")


class Chat:
    """Two clients in each of many rooms; the first of them sends numbers without a pause of more than a moment."""

    def __init__(self, up: UpProcess) -> None:
        self.up = up
        self.sent = dict.fromkeys(range(ROOMS), 0)
        self.got: dict[tuple[int, int], list[int]] = {}
        self.stopped = asyncio.Event()

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Chat until the block ends; return when all has been received that was sent, or nothing comes any more."""
        async with asyncio.TaskGroup() as group:
            speaking, listening = [], []
            for room in range(ROOMS):
                clients = [await connect(f"ws://127.0.0.1:{self.up.port}/room-{room}") for _ in range(2)]
                for number, client in enumerate(clients):
                    got = self.got[room, number] = []
                    listening.append(group.create_task(self._listen(client, got)))
                speaking.append(group.create_task(self._speak(clients[0], room)))
            yield
            self.stopped.set()
            await asyncio.gather(*speaking)
            while any(set(got) < set(range(self.sent[room])) for (room, _), got in self.got.items()):
                before = self.received
                await asyncio.sleep(QUIET_SECONDS)
                if self.received == before:
                    break
            for task in listening:
                task.cancel()

    def check(self) -> None:
        """Every client has got every word of its room, once, in order."""
        for (room, number), got in self.got.items():
            expected = list(range(self.sent[room]))
            who = f"client {number} of room {room}"
            assert not set(expected) - set(got), f"{who} lost {sorted(set(expected) - set(got))}"
            assert len(got) == len(expected), f"{who} got some twice"
            assert got == expected, f"{who} got them out of order"

    @property
    def received(self) -> int:
        return sum(map(len, self.got.values()))

    async def _speak(self, client: ClientConnection, room: int) -> None:
        while not self.stopped.is_set():
            await client.send(str(self.sent[room]))
            self.sent[room] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self, client: ClientConnection, got: list[int]) -> None:
        try:
            async for word in client:
                got.append(int(word))
        finally:
            await client.close()


async def wait_for(up: UpProcess, pattern: str, after: int = 0) -> None:
    try:
        await asyncio.to_thread(up.wait_for, pattern, after=after)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{up.text}") from error


def hosts_of(up: UpProcess) -> HostList:
    return HostList.from_json((up.directory / "tiny" / "hosts.json").read_text(), "hosts.json")


@pytest.mark.timeout(300)
async def test_from_two_shards_to_three_and_back_while_clients_chat(
    tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    with UpProcess(write(tmp_path, managed(2))) as up:
        await asyncio.to_thread(up.wait_until_ready)
        chat = Chat(up)
        two = hosts_of(up)
        async with chat.going_on():
            await asyncio.to_thread(write, tmp_path, managed(3))
            await wait_for(up, "host list epoch 3 is in use everywhere")
            three = hosts_of(up)
            assert {"redis-2-0", "redis-2-1"} <= set(up.children())
            await asyncio.to_thread(write, tmp_path, managed(2))
            await wait_for(up, "host list epoch 5 is in use everywhere; ended: tiny-redis-2")
        assert [shard.name for shard in three.shards] == ["tiny-redis-0", "tiny-redis-1", "tiny-redis-2"]
        assert hosts_of(up).every_shard == two.shards
        assert not {"redis-2-0", "redis-2-1"} & set(up.children())
        chat.check()
        keys = [f"room-{number}" for number in range(20_000)]
        moved = sum(two.owner(key).name != three.owner(key).name for key in keys) / len(keys)
        assert moved <= 0.34
        record_testsuite_property("words sent", sum(chat.sent.values()))
        record_testsuite_property("words received, by two clients each", chat.received)
        record_testsuite_property("share of the keys that moved", moved)
        up.signal(signal.SIGINT)
        assert await asyncio.to_thread(up.wait_for_end) == 0
        assert up.left_behind() == []


@pytest.mark.timeout(300)
async def test_a_change_of_mind_in_the_middle_ends_at_what_was_wanted_last(tmp_path: Path) -> None:
    with UpProcess(write(tmp_path, managed(1, 0))) as up:
        await asyncio.to_thread(up.wait_until_ready)
        chat = Chat(up)
        async with chat.going_on():
            await asyncio.to_thread(write, tmp_path, managed(3, 0))
            await wait_for(up, "host list epoch 2: 3 shards")
            await asyncio.to_thread(write, tmp_path, managed(2, 0))
            await wait_for(up, "host list epoch 4 is in use everywhere; ended: tiny-redis-2")
        assert [shard.name for shard in hosts_of(up).every_shard] == ["tiny-redis-0", "tiny-redis-1"]
        chat.check()
        code, said = await asyncio.to_thread(command, up, "show")
        assert code == 0, said
        assert said.startswith("host list epoch 4, made by realtime-gateway up")
        assert {"tiny-gateway-0", "tiny-gateway-1"} <= {line.split(" ")[0] for line in said.splitlines()}
        code, said = await asyncio.to_thread(command, up, "set", "redis://127.0.0.1:1")
        assert code == 1
        assert said.startswith(
            "realtime-gateway hosts: realtime-gateway up makes the lists of this deployment (epoch 4)"
        )


def test_a_shard_that_has_joined_fails_over_like_any_other(tmp_path: Path) -> None:
    with UpProcess(write(tmp_path, managed(1), expiry_seconds=1)) as up:
        up.wait_until_ready()
        write(tmp_path, managed(2), expiry_seconds=1)
        up.wait_for("host list epoch 3 is in use everywhere")
        said = len(up.text)
        up.children()["redis-1-0"].kill()
        up.wait_for("failover: the primary of tiny-redis-1 is tiny-redis-1-1 now", after=said)
        up.wait_for("tiny-redis-1-0 is back", after=said)


def test_a_run_that_is_killed_in_the_middle_goes_on_where_the_external_shards_are(tmp_path: Path) -> None:
    with RedisProcess() as one, RedisProcess() as two:
        with UpProcess(write(tmp_path, external(one), expiry_seconds=600)) as up:
            up.wait_until_ready()
            with client_of(up) as client:
                write(tmp_path, external(one, two), expiry_seconds=600)
                up.wait_for("all use host list epoch 2; the earlier lists are retired in 600 s")
                says(client, "before")
                up.signal(signal.SIGKILL)
                up.wait_for_end()
            up.wait_until_nothing_is_left()
        assert [len(hosts.shards) for hosts in (stored(two), *stored(two).earlier)] == [2, 1]
        with UpProcess(write(tmp_path, external(one, two), expiry_seconds=1)) as up:
            up.wait_for("the shards hold the host list of epoch 2: it goes on there")
            up.wait_until_ready()
            with client_of(up) as client:
                up.wait_for("host list epoch 3 is in use everywhere")
                says(client, "after")
        assert [(hosts.epoch, len(hosts.shards), hosts.earlier) for hosts in (stored(one), stored(two))] == [
            (3, 2, ())
        ] * 2


def test_a_run_of_its_own_shards_that_is_killed_in_the_middle_starts_with_what_is_wanted(tmp_path: Path) -> None:
    with UpProcess(write(tmp_path, managed(1, 0), expiry_seconds=600)) as up:
        up.wait_until_ready()
        write(tmp_path, managed(2, 0), expiry_seconds=600)
        up.wait_for("host list epoch 2: 2 shards")
        up.signal(signal.SIGKILL)
        up.wait_for_end()
        up.wait_until_nothing_is_left()
    with UpProcess(up.file) as again:
        again.wait_until_ready()
        assert {"redis-0-0", "redis-1-0"} <= set(again.children())
        assert (hosts_of(again).epoch, len(hosts_of(again).every_shard)) == (1, 2)


def test_a_list_that_somebody_else_makes_is_used_as_it_is(tmp_path: Path) -> None:
    with RedisProcess() as one, RedisProcess() as two:
        theirs = HostList(
            7,
            tuple(Shard(f"theirs-{n}", 1.0, {"address": server.url}) for n, server in enumerate((one, two))),
            managed_by="RealtimeGateway default/chat",
        )
        with one.client as client:
            client.mset({"asgi:epoch": 7, "asgi:hosts": theirs.to_json()})
        with UpProcess(write(tmp_path, external(one))) as up:
            up.wait_for("the host list of epoch 7 is made by RealtimeGateway default/chat: it is used as it is")
            up.wait_until_ready()
            with client_of(up) as client:
                says(client, "hello")
            assert hosts_of(up).epoch == 0, "the file, which is trusted without a signature, does not repeat it"
        assert stored(one) == stored(two) == theirs


def test_a_list_on_an_external_shard_with_a_server_that_the_resource_has_not_is_not_written_into_the_file(
    tmp_path: Path,
) -> None:
    with RedisProcess() as one, RedisProcess() as evil:
        wanted = Shard("shard-0", 1.0, {"address": one.url})
        theirs = HostList(5, (wanted,), (HostList(4, (Shard("evil", 1.0, {"address": evil.url}),)),))
        with one.client as client:
            client.mset({"asgi:epoch": 5, "asgi:hosts": theirs.to_json()})
        with UpProcess(write(tmp_path, external(one))) as up:
            assert up.wait_for_end() == 1
            assert "the host list of epoch 5, with shards that spec.redis.external.hosts has not: evil" in up.error_text
        assert stored(one) == theirs


def command(up: UpProcess, *words: str) -> tuple[int, str]:
    """Run `realtime-gateway hosts` on the run's own list."""
    file = up.directory / "tiny" / "hosts.json"
    program = [sys.executable, "-m", "realtime_gateway.cli.main", "hosts", *words, "--config", str(file)]
    ended = subprocess.run(program, check=False, capture_output=True, text=True)
    return ended.returncode, ended.stdout + ended.stderr


def client_of(up: UpProcess) -> SyncConnection:
    return connect_now(f"ws://127.0.0.1:{up.port}/room")


def says(client: SyncConnection, word: str) -> None:
    client.send(word)
    assert client.recv(timeout=10) == word
