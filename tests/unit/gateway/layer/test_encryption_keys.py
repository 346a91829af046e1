"""Encryption keys that are exchanged while processes read them at different times."""

from __future__ import annotations

import logging
from itertools import product
from pathlib import Path

import pytest

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.layer.encryption_keys import KeyOrder, KeysFile, read_keys
from realtime_gateway.telemetry import recorder

OLD, NEW, NEWEST = ("old-key-of-16-characters", "new-key-of-16-characters", "newest-key-of-16-characters")
SETTLE = 180.0


def test_keys_stand_one_a_line_and_blank_lines_count_for_nothing() -> None:
    assert read_keys(f"{NEW}\n\n  {OLD} \r\n") == (NEW, OLD)


@pytest.mark.parametrize(
    ("text", "words"), [("\n", "is empty"), (f"{OLD}\n{OLD}", "twice"), (f"{OLD}\nsecret", "fewer than 16 characters")]
)
def test_keys_that_cannot_be_meant_are_refused_without_being_shown(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as raised:
        read_keys(text)
    assert OLD not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_one_key_encrypts_from_the_start() -> None:
    order = KeyOrder((OLD,), 0.0, SETTLE)
    assert order.settled
    assert order.in_use(0.0) == (OLD,)


def test_a_key_that_is_new_at_the_front_decrypts_at_once_and_encrypts_when_it_has_settled() -> None:
    order = KeyOrder((OLD,), 0.0, SETTLE)
    order.use((NEW, OLD), 1000.0)
    assert order.in_use(1000.0) == (OLD, NEW)
    assert order.in_use(1000.0 + SETTLE - 1) == (OLD, NEW)
    assert not order.settled
    assert order.in_use(1000.0 + SETTLE) == (NEW, OLD)
    assert order.settled


def test_a_process_that_starts_in_between_encrypts_with_what_the_others_have() -> None:
    order = KeyOrder((NEW, OLD), 0.0, SETTLE)
    assert order.in_use(0.0) == (OLD, NEW)
    assert order.in_use(SETTLE) == (NEW, OLD)


def test_a_third_key_begins_to_settle_anew() -> None:
    order = KeyOrder((OLD,), 0.0, SETTLE)
    order.use((NEW, OLD), 1000.0)
    order.use((NEWEST, NEW, OLD), 1100.0)
    assert order.in_use(1000.0 + SETTLE)[0] == OLD
    assert order.in_use(1100.0 + SETTLE) == (NEWEST, NEW, OLD)


def test_a_key_that_is_taken_out_is_used_for_nothing_any_more() -> None:
    order = KeyOrder((OLD,), 0.0, SETTLE)
    order.use((NEW,), 1000.0)
    assert order.in_use(1000.0) == (NEW,)


def test_whatever_two_processes_have_read_each_can_read_the_other_while_both_keys_are_in_the_file() -> None:
    # Everybody reads the file within the time to settle; all pairs of moments at which two of them do so.
    moments = (0.0, 60.0, SETTLE - 1)
    for first, second in product(moments, moments):
        orders = (KeyOrder((OLD,), -1000.0, SETTLE), KeyOrder((OLD,), -1000.0, SETTLE))
        for now in (0.0, 30.0, 60.0, 120.0, SETTLE - 1, SETTLE, 2 * SETTLE):
            for order, moment in zip(orders, (first, second), strict=True):
                if now >= moment:
                    order.use((NEW, OLD), moment)
            one, other = (order.in_use(now) for order in orders)
            assert one[0] in other
            assert other[0] in one


def test_a_file_is_followed_and_whether_its_first_key_encrypts_is_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    path = tmp_path / "keys"
    path.write_text(OLD)
    keys = KeysFile(path, SETTLE, lambda: now)
    assert keys.look() == (OLD,)
    path.write_text(f"{NEW}\n{OLD}\n")
    assert keys.look() == (OLD, NEW)
    assert recorder.layer_key_settling.values[""] == 1
    now += SETTLE
    assert keys.look() == (NEW, OLD)
    assert recorder.layer_key_settling.values[""] == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    path.write_text(NEWEST)
    assert keys.look() == (NEWEST,)
    assert "none of the earlier encryption keys is left" in caplog.text
    assert OLD not in caplog.text


def test_a_key_settles_until_it_has_in_every_layer_of_the_process(tmp_path: Path) -> None:
    now, files = 0.0, []
    for name in ("one", "two"):
        (tmp_path / name).write_text(OLD)
        files.append(KeysFile(tmp_path / name, SETTLE, lambda: now))
    one, two = files
    (tmp_path / "one").write_text(f"{NEW}\n{OLD}\n")
    for each in (one, two):
        each.look()
    assert recorder.layer_key_settling.values[""] == 1, "the second one has nothing to settle"
    now += SETTLE
    for each in (one, two):
        each.look()
    assert recorder.layer_key_settling.values[""] == 0
