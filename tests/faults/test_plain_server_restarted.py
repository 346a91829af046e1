"""A redis-server without Sentinel that is restarted on its address, with and without its data."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Counted, rounds
from tests.faults.crew import Crew
from tests.faults.groups import groups_on_each
from tests.support.redis_process import RedisProcess

RECOVERS_WITHIN_SECONDS = 15


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("options", "words"),
    [(("--appendonly", "yes", "--appendfsync", "everysec"), "with its data"), ((), "without its data")],
    ids=["with its data", "without its data"],
)
def test_no_message_is_lost_when_a_plain_server_is_restarted(
    counted: Counted, options: tuple[str, ...], words: str
) -> None:
    with RedisProcess(*options) as server, RedisProcess() as other, Crew(groups_on_each("a", "b")) as crew:
        crew.add_usual([{"name": "a", "address": server.url}, {"name": "b", "address": other.url}])
        crew.begin()
        number = rounds(4)
        for _ in range(number):
            server.restart()
            crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.stays_well()
        counted(crew, f"{number} x restart of a plain server {words}")


@pytest.mark.timeout(300)
def test_what_a_server_lost_with_its_data_is_sent_again_to_a_process_that_was_away(counted: Counted) -> None:
    with RedisProcess() as server, RedisProcess() as other, Crew(groups_on_each("a", "b")) as crew:
        hosts = [{"name": "a", "address": server.url}, {"name": "b", "address": other.url}]
        crew.add_usual(hosts)
        away = crew.add("receiver, away", hosts)
        crew.begin()
        number = rounds(2)
        for _ in range(number):
            away.pause()
            server.kill_connections("pubsub")
            for _ in range(3):
                crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
            server.restart()
            away.resume()
            crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.stays_well()
        counted(crew, f"{number} x restart without data while a reader is away")
