"""Rates from counters that only grow."""

from __future__ import annotations

from realtime_gateway.console.history import KEPT_SAMPLES, REMEMBERED_SECONDS, History, Totals


def test_a_rate_is_what_was_counted_since_the_last_look_by_all_processes() -> None:
    history = History()
    history.add(10.0, {"a": Totals(connections=2, received=100), "b": Totals(connections=1, received=10)})
    history.add(12.0, {"a": Totals(connections=3, received=140), "b": Totals(connections=1, received=20)})
    first, second = history.samples()
    assert (first["connections"], first["received"]) == (3, 0)
    assert (second["connections"], second["received"]) == (4, 25)


def test_a_process_that_begins_again_or_is_new_makes_no_jump() -> None:
    history = History()
    history.add(0.0, {"a": Totals(sent=1000)})
    history.add(1.0, {"a": Totals(sent=5), "b": Totals(sent=70)})
    history.add(2.0, {"a": Totals(sent=8), "b": Totals(sent=70)})
    assert [sample["sent"] for sample in history.samples()] == [0, 0, 3]


def test_two_minutes_are_kept() -> None:
    history = History()
    for second in range(KEPT_SAMPLES + 5):
        history.add(float(second), {"a": Totals(connections=second)})
    assert len(history.samples()) == KEPT_SAMPLES
    assert history.samples()[0]["connections"] == 5


def test_a_process_that_missed_some_looks_is_not_taken_for_faster() -> None:
    history = History()
    history.add(0.0, {"a": Totals(sent=0), "b": Totals(sent=0)})
    for second in range(1, 10):
        history.add(float(second), {"a": Totals(sent=10 * second)})
    history.add(10.0, {"a": Totals(sent=100), "b": Totals(sent=50)})
    assert [sample["sent"] for sample in history.samples()] == [0, *[10] * 9, 15]


def test_a_process_that_is_gone_is_forgotten() -> None:
    history = History()
    history.add(0.0, {"a": Totals(sent=0), **{f"pod-{number}": Totals() for number in range(100)}})
    history.add(REMEMBERED_SECONDS + 1, {"a": Totals(sent=0)})
    assert set(history._before) == {"a"}
