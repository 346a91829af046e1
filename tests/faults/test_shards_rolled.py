"""Shards come and go under load: what has moved is read from where it was, then from where it is."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.faults.conftest import Counted, rounds
from tests.faults.crew import Crew
from tests.faults.groups import groups_on_each, queues_on_each
from tests.faults.roller import Roller
from tests.support.conditions import wait_until
from tests.support.redis_process import RedisProcess

FOLLOWED_WITHIN_SECONDS = 60


@pytest.mark.timeout(600)
def test_no_message_is_lost_while_shards_come_and_go_and_one_process_learns_late(counted: Counted) -> None:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(RedisProcess()) for name in "abcd"}
        entries = {name: {"address": server.url} for name, server in servers.items()}
        roller = Roller(entries, "ab", lambda name: servers[name].client)
        crew = stack.enter_context(Crew(groups_on_each(*servers), queues=queues_on_each(*servers)))
        hosts = [{"name": name, **entries[name]} for name in "ab"]
        crew.add_usual(hosts)
        late = crew.add("both, late", hosts)
        crew.begin()
        number, gone = rounds(2), crew.gone()
        for _ in range(number):
            roller.roll("a", "b", "c")
            wait_until(lambda: roller.followed_by(4), FOLLOWED_WITHIN_SECONDS)
            crew.wait_until_everyone_hears_everyone(FOLLOWED_WITHIN_SECONDS)
            late.pause()
            roller.roll("a", "b", "c", "d")
            wait_until(lambda: roller.followed_by(3), FOLLOWED_WITHIN_SECONDS)
            roller.roll("a", "b", "d")
            wait_until(lambda: roller.followed_by(3), FOLLOWED_WITHIN_SECONDS)
            crew.wait_until_everyone_hears_everyone(FOLLOWED_WITHIN_SECONDS)
            late.resume()
            # It still has to learn of two lists when the next one comes.
            roller.roll("a", "b")
            wait_until(lambda: roller.followed_by(4), FOLLOWED_WITHIN_SECONDS)
            crew.wait_until_everyone_hears_everyone(FOLLOWED_WITHIN_SECONDS)
            wait_until(roller.drained, FOLLOWED_WITHIN_SECONDS)
            roller.retire()
            wait_until(lambda: roller.followed_by(4), FOLLOWED_WITHIN_SECONDS)
            for name in "cd":
                servers[name].kill()
            crew.stays_well()
            for name in "cd":
                servers[name].start()
        assert crew.gone() == gone, "somebody was told that a shard is out of reach which left in order"
        counted(crew, f"{number} x 2→3→4→3→2 shards, one process late, then the two that left are ended")


@pytest.mark.timeout(600)
def test_no_message_is_lost_when_lists_follow_each_other_faster_than_they_are_adopted(counted: Counted) -> None:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(RedisProcess()) for name in "abc"}
        entries = {name: {"address": server.url} for name, server in servers.items()}
        roller = Roller(entries, "ab", lambda name: servers[name].client)
        crew = stack.enter_context(Crew(groups_on_each(*servers), queues=queues_on_each(*servers)))
        crew.add_usual([{"name": name, **entries[name]} for name in "ab"])
        crew.begin()
        number = rounds(5)
        for _ in range(number):
            roller.roll("a", "b", "c")
            roller.roll("b", "c")
            roller.roll("a", "c")
            roller.roll("a", "b")
        wait_until(lambda: roller.followed_by(3), FOLLOWED_WITHIN_SECONDS)
        crew.wait_until_everyone_hears_everyone(FOLLOWED_WITHIN_SECONDS)
        crew.stays_well()
        counted(crew, f"{4 * number} host lists in a row")
