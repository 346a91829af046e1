"""The network between one process and one shard fails; every other process works on."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.faults.conftest import Counted
from tests.faults.crew import Crew
from tests.faults.groups import groups_on_each
from tests.support.redis_process import RedisProcess
from tests.support.tcp_proxy import TcpProxy

RECOVERS_WITHIN_SECONDS = 15
# Above the 5 s after which a peer that does not answer is given up, below the history and the time that senders wait.
AWAY_SECONDS = 7.0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("verb", ["cut", "stall"])
def test_no_message_is_lost_when_one_process_cannot_reach_one_shard(counted: Counted, verb: str) -> None:
    with ExitStack() as stack:
        near, far = stack.enter_context(RedisProcess()), stack.enter_context(RedisProcess())
        proxy = stack.enter_context(TcpProxy(far.address))
        crew = stack.enter_context(Crew(groups_on_each("a", "b")))
        crew.add_usual([{"name": "a", "address": near.url}, {"name": "b", "address": far.url}])
        # An address is no part of a shard's identity: the same shard, by another way.
        crew.add("through the proxy", [{"name": "a", "address": near.url}, {"name": "b", "address": proxy.url}])
        crew.begin()
        getattr(proxy, verb)()
        time.sleep(AWAY_SECONDS)
        proxy.restore()
        crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.stays_well()
        counted(crew, f"network between a process and a shard: {verb}")


@pytest.mark.timeout(300)
def test_senders_behind_a_cut_get_an_error_that_names_the_shard_and_nothing_else_suffers(counted: Counted) -> None:
    with ExitStack() as stack:
        near, far = stack.enter_context(RedisProcess()), stack.enter_context(RedisProcess())
        proxy = stack.enter_context(TcpProxy(far.address))
        crew = stack.enter_context(Crew(groups_on_each("a", "b"), send_timeout=2))
        crew.add_usual([{"name": "a", "address": near.url}, {"name": "b", "address": far.url}])
        away = crew.add("through the proxy", [{"name": "a", "address": near.url}, {"name": "b", "address": proxy.url}])
        crew.begin()
        proxy.cut()
        crew.wait_for_error(away, "ShardUnavailable", 15)
        proxy.restore()
        crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.stays_well()
        counted(crew, "network cut for longer than senders wait", errors=("ShardUnavailable",))
