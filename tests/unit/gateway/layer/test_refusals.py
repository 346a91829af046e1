from __future__ import annotations

import pytest

from realtime_gateway.layer.refusals import REMEDIES, readable, remedy_for, with_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("redis://somewhere:6379: NOAUTH Authentication required.", "NOAUTH"),
        ("redis://somewhere:6379: invalid username-password pair or user is disabled.", "WRONGPASS"),
        ("ERR The user executing the script can't run this command or subcommand", "NOPERM"),
        ("ERR max number of clients reached", "maxclients"),
        ("the shard answered a subscription with NOPERM this user has no permissions", "NOPERM"),
        ("LOADING Redis is loading the dataset in memory", "LOADING"),
    ],
)
def test_a_refusal_says_what_to_do_wherever_its_code_stands(text: str, code: str) -> None:
    assert remedy_for(text) == REMEDIES[code]


@pytest.mark.parametrize("text", ["", "no connection within 5 s", "ERR something new", "Connection refused by TLS"])
def test_nothing_is_made_up_where_nothing_is_known(text: str) -> None:
    assert remedy_for(text) == ""


def test_a_client_librarys_words_get_the_code_back_that_it_cut_off() -> None:
    assert with_code("Authentication required.") == "NOAUTH Authentication required."
    assert with_code("NOAUTH Authentication required.") == "NOAUTH Authentication required."
    assert with_code("max number of clients reached") == "max number of clients reached"
    assert with_code("Connection refused") == "Connection refused"


def test_the_place_in_a_script_is_left_out() -> None:
    script = f"script: {'ab' * 20}, on @user_script:14."
    assert readable(f"NOREPLICAS Not enough good replicas to write. {script}") == (
        "NOREPLICAS Not enough good replicas to write"
    )
    assert readable("BUSY Redis is busy.") == "BUSY Redis is busy"
