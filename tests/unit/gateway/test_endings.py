import pytest

from realtime_gateway import endings

ALL = [value for value in vars(endings).values() if isinstance(value, endings.Ending)]


def test_labels_are_distinct_so_that_the_metrics_tell_endings_apart():
    assert len({ending.label for ending in ALL}) == len(ALL)


@pytest.mark.parametrize("ending", ALL, ids=lambda ending: ending.label)
def test_an_ending_can_be_told_to_a_client(ending: endings.Ending):
    assert 400 <= ending.status <= 599
    assert len(ending.reason.encode()) <= 123
    assert endings.sendable(ending.code) or ending.code in endings.UNSENDABLE_CODES


def test_a_code_of_an_applications_own_is_the_applications_ending():
    assert endings.by_code(4400) is endings.APPLICATION
    assert endings.by_code(1012) is endings.RESTARTING
    assert endings.restarting(7).reason == "server restarting; reconnect in 7 s"


@pytest.mark.parametrize(
    ("code", "may"),
    [(999, False), (1000, True), (1005, False), (1006, False), (1012, True), (4999, True), (5000, False)],
)
def test_only_codes_of_the_rfc_may_stand_in_a_close_frame(code: int, may: bool):
    assert endings.sendable(code) is may
