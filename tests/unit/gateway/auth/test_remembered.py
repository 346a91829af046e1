"""Notices are found by whom they are about, and go after their time."""

from __future__ import annotations

from realtime_gateway.auth.notices import Action, Notice
from realtime_gateway.auth.remembered import Remembered

ANN, BOB = Notice(Action.END, ("ann",)), Notice(Action.END, ("bob",), credential="b")


def about(remembered: Remembered, *keys: str) -> list[tuple[float, Notice]]:
    return list(remembered.about(keys))


def test_a_notice_is_found_by_each_of_its_users_and_by_its_credential() -> None:
    remembered = Remembered(60, 100)
    remembered.add(10, 10, ANN)
    remembered.add(11, 9, BOB)
    assert about(remembered, "user ann") == [(10, ANN)]
    assert about(remembered, "user bob") == about(remembered, "credential b") == [(9, BOB)]
    assert about(remembered, "user eve", "credential ann") == []


def test_a_notice_goes_after_its_time() -> None:
    remembered = Remembered(60, 100)
    remembered.add(10, 10, ANN)
    remembered.add(71, 71, BOB)
    assert about(remembered, "user ann") == []
    assert about(remembered, "user bob") == [(71, BOB)]


def test_the_oldest_go_when_there_are_too_many_and_leave_nothing_behind() -> None:
    remembered = Remembered(60, 10)
    crowd = Notice(Action.CHECK, tuple(map(str, range(8))))
    for now in range(3):
        remembered.add(now, now, crowd)
    remembered.add(3, 3, ANN)
    assert about(remembered, "user 0") == [(2, crowd)]
    assert len(remembered._by_key) == 9
