from __future__ import annotations

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.hosts.rolling import Report
from realtime_gateway.layer.host_survey import Survey
from realtime_gateway.layer.shards.host_board import Board, Process

ONE, TWO = (HostList(epoch, (Shard("a", 1.0, {"host": "h"}),)) for epoch in (1, 2))


def test_the_newest_list_is_that_of_the_greatest_epoch() -> None:
    assert Survey({}, {"a": ONE, "b": TWO, "c": None}, {}).newest == TWO
    assert Survey({}, {"a": None}, {}).newest is None


def test_a_process_is_as_far_as_the_shard_that_knows_best_says() -> None:
    behind, ahead = Process("1", "web", 1), Process("1", "web", 2, expiry_seconds=60)
    other = Process("2", "api", 1)
    seen = Survey({"a": Board(2, "", (ahead, other)), "b": Board(1, "", (behind,))}, {}, {})
    assert seen.processes == (other, ahead)
    assert seen.reports == (Report("api", 1), Report("web", 2, 60))


def test_without_any_answer_nobody_knows_who_lives() -> None:
    assert Survey({}, {}, {"a": "no answer"}).reports is None
    assert Survey({"a": Board(0, "", ())}, {"a": None}, {}).reports == ()
