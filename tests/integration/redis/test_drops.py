"""The table of what the layer lets go: each reason is made to happen, and is counted where the document says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.conditions import until
from tests.support.machine_bench import Bench, hosts
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import RedisChannelLayer, drops
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.telemetry import metrics_page, recorder

Make = Callable[..., RedisChannelLayer]
Scenario = Callable[[RedisProcess, Make], Awaitable[None]]

CHECKOUT = Path(__file__).parents[3]
LAYER = CHECKOUT / "gateway/realtime_gateway/layer"


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


async def soon(layer: RedisChannelLayer, channel: str) -> Any:
    async with asyncio.timeout(10):
        return await layer.receive(channel)


async def member(layer: RedisChannelLayer) -> str:
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    return channel


async def capacity(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url, capacity=1)
    await member(layer)
    for _ in range(2):
        await layer.group_send("room", {"type": "x"})


async def expired(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url, expiry=0.2)
    await layer.send("work", {"type": "old"})
    await asyncio.sleep(0.3)
    await layer.send("work", {"type": "new"})
    assert (await soon(layer, "work"))["type"] == "new"


async def idle(server: RedisProcess, make_layer: Make) -> None:
    # Dropped two seconds after it was made at the earliest, when a message that is a moment old has a life before it.
    layer = make_layer(server.url, expiry=1)
    channel = await member(layer)
    while channel in layer._binding.state.mailboxes:
        await layer.group_send("room", {"type": "x"})
        await asyncio.sleep(0.1)


async def forgotten(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url)
    channel = await member(layer)
    await layer.group_send("room", {"type": "x"})
    await layer.forget(channel)


async def no_mailbox(server: RedisProcess, make_layer: Make) -> None:
    owner, sender = make_layer(server.url), make_layer(server.url)
    channel, other = await owner.new_channel(), await owner.new_channel()
    await owner.forget(channel)
    await sender.send(channel, {"type": "late"})
    await sender.send(other, {"type": "marker"})
    await soon(owner, other)


async def undecodable(server: RedisProcess, make_layer: Make) -> None:
    mine = make_layer(server.url, symmetric_encryption_keys=["mine"])
    theirs = make_layer(server.url, symmetric_encryption_keys=["theirs"])
    channel = await member(mine)
    await theirs.send(channel, {"type": "gibberish"})
    await mine.send(channel, {"type": "readable"})
    await soon(mine, channel)


async def malformed(server: RedisProcess, make_layer: Make) -> None:
    await member(make_layer(server.url))
    with server.client as client:
        client.publish("asgi:0:g:room", "9-9 rubbish")


async def lost(server: RedisProcess, make_layer: Make) -> None:
    with server.client as client:
        client.acl_setuser("reader", enabled=True, nopass=True, categories=["+@all"], keys=["*"], channels=["*"])
        reader = make_layer(f"redis://reader@127.0.0.1:{server.port}")
        sender = make_layer(server.url)
        channel = await member(reader)
        await sender.group_send("room", {"type": "seen"})
        await soon(reader, channel)
        # While the reader may not come back, its group's history is cut off behind it.
        client.execute_command("ACL", "SETUSER", "reader", "-subscribe")
        client.client_kill_filter(_type="pubsub")
        await sender.group_send("room", {"type": "missed"})
        client.xtrim("asgi:g:room", maxlen=0, approximate=False)
        client.execute_command("ACL", "SETUSER", "reader", "+subscribe")
    await sender.group_send("room", {"type": "after it"})
    assert (await soon(reader, channel))["type"] == "after it"


async def queue_full(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url, capacity=1)
    await layer.group_add("room", "work")
    for _ in range(2):
        await layer.group_send("room", {"type": "x"})


async def queue_unreachable(server: RedisProcess, make_layer: Make) -> None:
    with RedisProcess() as other:
        layer = make_layer(server.url, other.url, send_timeout=1)
        owner = layer.hosts.owner
        group = next(f"room-{n}" for n in range(100) if owner(f"room-{n}").name == "0")
        channel = next(f"work-{n}" for n in range(100) if owner(f"work-{n}").name == "1")
        await layer.group_add(group, channel)
        other.kill()
        await layer.group_send(group, {"type": "x"})


async def replay_bound(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url, replay_bytes=1)
    await layer.group_send("room", {"type": "x"})


async def unconfirmed(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url, history_seconds=1)
    await layer.group_send("room", {"type": "x"})
    # Another server now, which lacks it and takes no entries.
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start, "--user", "default", "on", "nopass", "~*", "&*", "+@all", "-xadd")


async def read_refused(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url, send_timeout=20)
    channel = await member(layer)
    with server.client as client:
        client.execute_command("ACL", "SETUSER", "default", "-evalsha")
        joining = asyncio.create_task(layer.group_add("another", channel))
        await until(lambda: recorder.layer_dropped.values["read_refused"])
        client.execute_command("ACL", "SETUSER", "default", "+evalsha")
    await joining


# In the machine alone, where the moment can be chosen.


def carry_refused(bench: Bench) -> None:
    bench.no_normal_members = False
    bench.link_up("0", epoch=2)
    bench.answer("groups", events.Refusal("OOM", "OOM no memory"), "0")


REAL: dict[str, Scenario] = {
    "capacity": capacity, "expired": expired, "idle": idle, "forgotten": forgotten, "no_mailbox": no_mailbox,
    "undecodable": undecodable, "malformed": malformed, "lost": lost, "queue_full": queue_full,
    "queue_unreachable": queue_unreachable, "replay_bound": replay_bound, "unconfirmed": unconfirmed,
    "read_refused": read_refused,
}  # fmt: skip
IN_THE_MACHINE = {"carry_refused": carry_refused}


@pytest.mark.parametrize("reason", REAL)
async def test_it_is_counted_on_the_metrics_page_that(reason: str, server: RedisProcess, make_layer: Make) -> None:
    counter = recorder.layer_dropped.values
    before = counter[reason]
    await REAL[reason](server, make_layer)
    await until(lambda: counter[reason] > before, 20)
    page = metrics_page.render(metrics_page.make_registry())[1].decode()
    shown = re.search(rf'realtime_gateway_layer_dropped_total{{reason="{reason}"}} (\S+)', page)
    assert shown
    assert float(shown.group(1)) == counter[reason]


async def test_what_others_write_into_the_layers_keys_takes_nothing_else_away(
    server: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(server.url)
    channel = await member(layer)
    before = recorder.layer_dropped.values["malformed"]
    with server.client as client:
        client.publish("asgi:0:control", '{"flush"')
        client.publish("asgi:0:control", '{"flush":' + "[" * 100_000)
        client.xadd("asgi:g:room", {"foo": "bar"})
        client.client_kill_filter(_type="pubsub")
    for number in range(3):
        await layer.group_send("room", {"type": "x", "n": number})
        assert (await soon(layer, channel))["n"] == number
    assert recorder.layer_dropped.values["malformed"] - before == 3


@pytest.mark.parametrize("reason", IN_THE_MACHINE)
def test_it_is_emitted_that(reason: str) -> None:
    bench = Bench(hosts(2, "0", "1", earlier=(hosts(1, "0"),)))
    IN_THE_MACHINE[reason](bench)
    assert [one.reason for one in bench.of(actions.Dropped)] == [reason]


def test_the_table_the_document_the_code_and_these_tests_name_the_same_reasons() -> None:
    written: set[str] = set()
    for module in LAYER.rglob("*.py"):
        text = module.read_text()
        written.update(re.findall(r"(?:Dropped|drops\.count)\(\s*\"(\w+)\"", text))
        written.update(re.findall(r"Dropped\(\"\w+\" if .+ else \"(\w+)\"\)", text))
    document = (CHECKOUT / "docs/channel-layer.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", document.partition("| reason |")[2], re.MULTILINE))
    assert written == set(drops.REASONS) == REAL.keys() | IN_THE_MACHINE.keys()
    assert {reason: rows.get(reason) for reason in drops.REASONS} == drops.REASONS


def test_every_reason_stands_on_the_metrics_page_from_the_start() -> None:
    page = metrics_page.render(metrics_page.make_registry())[1].decode()
    assert set(re.findall(r'layer_dropped_total{reason="(\w+)"}', page)) == set(drops.REASONS)
