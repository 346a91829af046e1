from __future__ import annotations

import pytest

from realtime_gateway.layer.machine.passing import DEMOTED, PASSING, passes


@pytest.mark.parametrize(
    "text",
    [
        "LOADING Redis is loading the dataset in memory", "READONLY the server is a replica", "BUSY",
        "ERR max number of clients reached",
    ],
)  # fmt: skip
def test_what_a_server_that_starts_or_is_busy_or_no_primary_answers_passes(text: str) -> None:
    assert passes(text)


@pytest.mark.parametrize(
    "text", ["", "NOAUTH Authentication required.", "WRONGPASS", "ERR unknown command", "LOADINGX"]
)
def test_what_somebody_has_to_set_right_does_not(text: str) -> None:
    assert not passes(text)


def test_a_server_that_was_demoted_is_waited_for() -> None:
    assert DEMOTED <= PASSING
