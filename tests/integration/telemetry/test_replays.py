"""What a failover does to messages, as their traces show it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from tests.faults.sentinel_shards import SentinelShards
from tests.support.redis_process import RedisProcess
from tests.support.tcp_proxy import TcpProxy
from tests.support.trace_receiver import ReceivedSpan, TraceReceiver
from tests.support.traced_processes import PARENT, Serve, client, say, way_to

from realtime_gateway.hosts import HostList, Shard

GROUP = "deliver chat_{name}"
REPLAYED, DUPLICATES = "realtime_gateway.replayed", "realtime_gateway.duplicates"


def deliveries(spans: list[ReceivedSpan], trace_id: str, process: str) -> list[ReceivedSpan]:
    return [
        span
        for span in spans
        if span.name == GROUP and span.trace_id == trace_id and span.process["service.instance.id"] == process
    ]


@pytest.mark.timeout(180)
async def test_a_message_that_a_primary_was_killed_under_is_shown_as_replayed_and_the_one_before_as_repeated(
    serve: Serve, receiver: TraceReceiver, tmp_path: Path
) -> None:
    with SentinelShards("a") as shards:
        listed = [{key: value for key, value in entry.items() if key != "name"} for entry in shards.hosts()]
        hosts = tmp_path / "hosts.json"
        hosts.write_text(HostList(1, (Shard("a", 1.0, listed[0]),)).to_json())
        a, b = (serve(name, endpoint=receiver.url, REALTIME_GATEWAY_CONFIG=str(hosts)) for name in "ab")
        shards.wait_until_whole("a")
        async with client(a, "/chat/lobby/") as alice, client(b, "/chat/lobby/") as bob:
            await say(alice, "before", alice, bob)
            (before,) = [span for span in receiver.wait_for(receive=1) if span.name == "websocket receive"]

            b.terminate(signal.SIGSTOP)
            at = time.monotonic()
            shards["a"].kill_primary()
            shards.wait_for_failover("a", at)
            await say(alice, "meanwhile", alice)
            b.terminate(signal.SIGCONT)
            assert "meanwhile" in str(await bob.recv())

            spans = receiver.wait_for(receive=2, send=4)
            meanwhile = [span for span in spans if span.name == "websocket receive"][-1]
            (replayed,) = deliveries(spans, meanwhile.trace_id, "b")
            assert replayed.attributes[REPLAYED]
            assert replayed.attributes["realtime_gateway.fan_out"] == 1
            assert replayed.attributes["realtime_gateway.wait.redis_ms"] > 0
            assert [span.name for span in way_to("websocket send", spans)][-3:] == [
                GROUP,
                "Chat.chat_message",
                "websocket send",
            ]
            assert way_to("websocket send", spans)[-3].span_id == replayed.span_id

            repeated = [one for one in deliveries(spans, before.trace_id, "b") if DUPLICATES in one.attributes]
            (first,) = [one for one in deliveries(spans, before.trace_id, "b") if DUPLICATES not in one.attributes]
            assert not first.attributes[REPLAYED]
            assert first.attributes["realtime_gateway.fan_out"] == 1
            assert repeated
            assert all(one.attributes["realtime_gateway.fan_out"] == 0 for one in repeated)
            assert all(one.attributes[REPLAYED] for one in repeated[:1])


@pytest.mark.timeout(90)
async def test_what_was_missed_while_a_link_was_cut_is_shown_as_replayed_with_its_wait_in_redis(
    serve: Serve, receiver: TraceReceiver, redis_server: RedisProcess
) -> None:
    with TcpProxy(redis_server.address) as proxy:
        a, b = serve("a", endpoint=receiver.url), serve("b", endpoint=receiver.url, REDIS_URL=proxy.url)
        async with client(a, "/chat/cut/", traceparent=PARENT) as alice, client(b, "/chat/cut/") as bob:
            await say(alice, "before", alice, bob)
            proxy.cut()
            await say(alice, "meanwhile", alice)
            proxy.restore()
            assert "meanwhile" in str(await bob.recv())
            spans = receiver.wait_for(receive=2, send=4)
    found = deliveries(spans, PARENT.split("-")[1], "b")
    assert [one.attributes[REPLAYED] for one in found] == [False, True]
    # Two have been stored: the one before the cut, and this one.
    published = [span for span in spans if span.name == "EVALSHA publish"][-1]
    assert found[1].start_ns >= published.start_ns
    waited_ms = found[1].attributes["realtime_gateway.wait.redis_ms"]
    # By two clocks of one machine: the time in Redis is what lies between the two spans.
    error_ms = found[1].attributes.get("realtime_gateway.wait.redis_error_ms", 100.0) + 100.0
    assert abs(waited_ms - (found[1].start_ns - published.end_ns) / 1e6) <= error_ms
