"""Secrets in files: what can be used is used at once, what cannot is told, counted and changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.replaced_file import put

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.secret_file import SecretFile
from realtime_gateway.telemetry import recorder


def refuse_short(text: str) -> str:
    if len(text) < 4:
        raise ConfigurationError("it is short.", "Make it longer.")
    return text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    put(tmp_path / "secret", b"first-value\n")
    return tmp_path / "secret"


def counted(result: str) -> float:
    return recorder.secret_changes.values[result]


def test_the_text_is_read_without_the_white_space_around_it(path: Path) -> None:
    assert SecretFile(path, "the key", str).look() == "first-value"


def test_another_content_is_used_from_the_next_look_on_and_counted(path: Path) -> None:
    file, before = SecretFile(path, "the key", str), counted("used")
    put(path, b"second-value")
    assert [file.look(), file.look()] == ["second-value", "second-value"]
    assert counted("used") == before + 1


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (lambda path: put(path, b" \n"), "it is empty"),
    "no text": (lambda path: put(path, b"\xff\xfesecond-value"), "no text in UTF-8"),
    "refused by its reader": (lambda path: put(path, b"2nd"), "it is short. Make it longer."),
    "gone": (Path.unlink, "it cannot be read: No such file or directory"),
    "a directory": (lambda path: (path.unlink(), path.mkdir())[-1], "it cannot be read: Is a directory"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_content_that_cannot_be_used_is_told_and_counted_once_and_the_old_one_stays(
    path: Path, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoil, words = BAD[bad]
    file, before = SecretFile(path, "the key", refuse_short), counted("refused")
    spoil(path)
    assert [file.look(), file.look()] == ["first-value", "first-value"]
    assert counted("refused") == before + 1
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert words in told
    assert str(path) in told
    assert "the key" in told
    if path.is_dir():
        path.rmdir()
    put(path, b"third-value")
    assert file.look() == "third-value"


@pytest.mark.parametrize("bad", BAD)
def test_at_the_start_it_is_an_error_that_names_the_file(path: Path, bad: str) -> None:
    spoil, words = BAD[bad]
    spoil(path)
    with pytest.raises(ConfigurationError) as raised:
        SecretFile(path, "the key", refuse_short)
    assert str(raised.value).startswith(f"{path}, with the key: ")
    assert words in str(raised.value)


def test_no_word_of_it_is_in_a_message_or_in_its_repr(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    file = SecretFile(path, "the key", refuse_short)
    for content in (b"\xfffirst-value", b"bad", b"second-value", b""):
        put(path, content)
        file.look()
    shown = caplog.text + repr(file)
    assert "-value" not in shown
    assert "bad" not in shown


def test_another_file_of_the_same_content_is_no_news(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, before = SecretFile(path, "the key", str), counted("used")
    put(path, b"first-value\n")
    with caplog.at_level(logging.INFO):
        assert file.look() == "first-value"
    assert counted("used") == before
    assert not caplog.records
