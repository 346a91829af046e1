"""The last spans of a process, for whoever asks."""

from __future__ import annotations

import json

import pytest

from realtime_gateway.telemetry import recent


@pytest.fixture(autouse=True)
def none_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_kept", None)


def span(trace: str, number: int) -> recent.RecentSpan:
    return recent.RecentSpan(trace, str(number), "", "publish chat_{name}", "PRODUCER", number, number + 1)


def test_a_process_that_keeps_none_says_so() -> None:
    assert json.loads(recent.page("a", None)) == {"process": "a", "keeps": False, "spans": []}


def test_the_oldest_are_forgotten_first() -> None:
    kept = recent.keep(3)
    for number in range(5):
        kept.add(span("one", number))
    found = json.loads(recent.page("a", None))
    assert found["keeps"]
    assert [each["start_ns"] for each in found["spans"]] == [2, 3, 4]


def test_one_trace_is_asked_for_by_its_id() -> None:
    kept = recent.keep(10)
    for number in range(4):
        kept.add(span("one" if number % 2 else "two", number))
    assert [each["start_ns"] for each in json.loads(recent.page("a", "one"))["spans"]] == [1, 3]
    assert json.loads(recent.page(None, "three"))["spans"] == []


def test_of_a_trace_without_an_end_the_last_are_told() -> None:
    kept = recent.keep(2 * recent.MOST_SPANS)
    for number in range(recent.MOST_SPANS + 5):
        kept.add(span("one", number))
    found = json.loads(recent.page("a", "one"))["spans"]
    assert [each["start_ns"] for each in found] == list(range(5, recent.MOST_SPANS + 5))
