"""Redis 6.2 and whatever came after it, and Valkey: commands that all of them have, and the rights for them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.redis_process import SERVERS, RedisProcess, server_program

import realtime_gateway.layer
from realtime_gateway.errors import ShardUnavailable
from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]

LAYER = Path(realtime_gateway.layer.__file__).parent
DOCUMENT = Path(__file__).parents[3] / "docs/channel-layer.md"
OLDEST = (6, 2)
# The version in which Redis got each command, in the form in which it is used here. Valkey began as Redis 7.2.
SINCE = {
    "DEL": "1.0", "EVAL": "2.6", "EVALSHA": "2.6", "EXISTS": "1.0", "EXPIRE": "1.0", "GET": "1.0",
    "HDEL": "2.0", "HGET": "2.0", "HGETALL": "2.0", "HSET": "4.0", "INFO": "1.0",
    "LINDEX": "1.0", "LLEN": "1.0", "LPOP": "1.0", "LPUSH": "1.0", "PEXPIRE": "2.6", "PING": "1.0", "PUBLISH": "2.0",
    "RPUSH": "1.0",
    "SCAN": "2.8", "SCRIPT": "2.6", "SET": "1.0", "SUBSCRIBE": "2.0", "TIME": "2.6", "UNLINK": "4.0",
    "UNSUBSCRIBE": "2.0", "WAIT": "3.0", "XADD": "5.0", "XRANGE": "6.2", "XREVRANGE": "5.0", "XTRIM": "6.2",
    "ZADD": "1.2", "ZRANGE": "1.2", "ZSCORE": "1.2", "ZRANGEBYSCORE": "1.0", "ZREM": "1.2", "ZREMRANGEBYSCORE": "1.2",
}  # fmt: skip
# Of a Sentinel, not of a shard.
SENTINEL = {"SENTINEL"}
# Words in capitals at the beginning of a tuple that are no commands, but what a server answers.
ANSWERS = {"LOADING", "NOSCRIPT"}


def used() -> set[str]:
    """Every command that stands in a script or in a tuple of the code."""
    found: set[str] = set()
    for script in LAYER.rglob("*.lua"):
        found.update(re.findall(r"redis\.p?call\('([A-Z]+)'", script.read_text()))
    for module in LAYER.rglob("*.py"):
        found.update(re.findall(r"\(\"([A-Z]{3,})\"", module.read_text()))
    return found - ANSWERS


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisProcess]:
    program = server_program(request.param)
    if program is None:
        pytest.skip(f"no {request.param}")
    with RedisProcess(program=program) as process:
        yield process


async def test_an_error_that_a_script_meets_has_its_code_in_front(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url, send_timeout=0.5)
    await layer.group_send("room", {"type": "hello"})
    with server.client as client:
        client.config_set("min-replicas-to-write", 1)
        for refused in (layer.group_send("room", {"type": "hello"}), layer.group_add("room", "work")):
            with pytest.raises(ShardUnavailable, match=r"\(NOREPLICAS Not enough good replicas to write\)"):
                await refused
        client.config_set("min-replicas-to-write", 0)
    await layer.group_send("room", {"type": "hello"})


async def soon(layer: RedisChannelLayer, channel: str) -> Any:
    async with asyncio.timeout(10):
        return await layer.receive(channel)


def test_every_command_is_one_that_the_oldest_server_has() -> None:
    assert used() - SENTINEL == set(SINCE)
    assert {name for name, since in SINCE.items() if tuple(map(int, since.split("."))) > OLDEST} == set()


def test_no_script_calls_a_command_by_a_name_that_is_made_up_while_it_runs() -> None:
    for script in LAYER.rglob("*.lua"):
        text = script.read_text()
        assert len(re.findall(r"redis\.p?call\(", text)) == len(re.findall(r"redis\.p?call\('[A-Z]+'", text)), script


def test_the_server_has_every_command(server: RedisProcess) -> None:
    with server.client as client:
        known = client.execute_command("COMMAND", "INFO", *sorted(SINCE))
    assert len(known) == len(SINCE)
    assert None not in (known.values() if isinstance(known, dict) else known)


async def test_the_layer_works_with_no_more_rights_than_the_document_lists(
    server: RedisProcess, make_layer: Make
) -> None:
    line = re.search(r"ACL SETUSER chat on >PASSWORD (.+?)\n\n", DOCUMENT.read_text(), re.DOTALL)
    assert line, "the document has no line with the rights"
    rights = line.group(1).replace("\\\n", " ").split()
    commands = {right[1:].partition("|")[0].upper() for right in rights if right.startswith("+")}
    assert commands - {"SELECT"} == set(SINCE)
    with server.client as client:
        client.execute_command("ACL", "SETUSER", "chat", "reset", "on", ">secret", *rights)
        client.execute_command("ACL", "SETUSER", "default", "nopass", "on", "+@all", "~*", "&*")
    layer = make_layer(f"redis://chat:secret@127.0.0.1:{server.port}/1", on_reconnect="back")
    other = make_layer(f"redis://chat:secret@127.0.0.1:{server.port}/1")
    channel, theirs = await layer.new_channel(), await other.new_channel()
    for member in (channel, theirs, "work"):
        await layer.group_add("room", member)
    await layer.group_send("room", {"type": "hello"})
    for receiver, name in ((layer, channel), (other, theirs), (layer, "work")):
        assert (await soon(receiver, name))["type"] == "hello"
    await other.send(channel, {"type": "direct"})
    assert (await soon(layer, channel))["type"] == "direct"
    with server.client as client:
        client.script_flush()
        client.client_kill_filter(_type="pubsub")
    await other.group_send("room", {"type": "after a break"})
    kinds = {(await soon(layer, channel))["type"] for _ in range(2)}
    assert kinds == {"back", "after a break"}
    for member in (channel, theirs, "work"):
        await layer.group_discard("room", member)
    await layer.flush()
    with server.client as client:
        denied: Any = client.acl_log()
    # A key, a command and a channel each: nothing was tried that is not allowed, but for what redis-py says of itself.
    assert {one["object"] for one in denied} <= {"client|setinfo", "client"}
