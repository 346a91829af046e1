"""The command line of `serve`: every number is checked as it is read, in words."""

from __future__ import annotations

import argparse
import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from realtime_gateway.cli.serve_options import add_arguments


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["site:application", *words])


WRONG = {
    ("-p", "-1"): "there is no port -1; a port is a number from 0 to 65535",
    ("--port", "70000"): "there is no port 70000",
    ("--port", "http"): "'http' is not a whole number",
    ("--admin-port", "65536"): "there is no port 65536",
    ("--fd", "-1"): "-1 is negative",
    ("--http-timeout", "-1"): "-1 is negative; give 0 or more",
    ("--http-timeout", "1.5"): "'1.5' is not a whole number",
    ("--ping-interval", "-20"): "-20 is negative; give 0 or more",
    ("--ping-timeout", "-1"): "-1 is negative",
    ("--websocket-timeout", "-2"): "-2 is negative; give 0 or more, or -1 for no end",
    ("--websocket_connect_timeout", "-2"): "or -1 for no end",
    ("--websocket-max-message-size", "-1"): "-1 is negative",
    ("--websocket-max-frame-size", "-1"): "-1 is negative",
    ("--application-close-timeout", "-1"): "-1 is negative",
    ("--processes", "0"): "0 is no number of processes; give 1 or more",
    ("--drain-seconds", "-0.5"): "-0.5 is negative; give 0 or more",
    ("--drain-accept-seconds", "nan"): "'nan' is no number of seconds",
    ("--drain-seconds", "soon"): "'soon' is no number of seconds",
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_number_that_cannot_be_is_refused_in_words(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*words)
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert words[0] in last
    assert WRONG[words] in last


def test_zero_and_what_means_no_end_are_taken() -> None:
    zeros = parsed("-p", "0", "--admin-port", "0", "--ping-interval", "0", "--websocket-max-message-size", "0")
    assert (zeros.port, zeros.admin_port, zeros.ping_interval, zeros.websocket_max_message_size) == (0, 0, 0, 0)
    endless = parsed("--websocket-timeout", "-1", "--websocket-connect-timeout", "-1", "--drain-seconds", "0.5")
    assert (endless.websocket_timeout, endless.websocket_connect_timeout, endless.drain_seconds) == (-1, -1, 0.5)


def test_what_is_not_given_is_left_to_the_resource() -> None:
    nothing = parsed()
    assert {nothing.port, nothing.http_timeout, nothing.ping_interval, nothing.drain_seconds} == {None}


def daphne_options() -> set[str]:
    """Return what Daphne's command line takes; its source is read, since importing it installs a reactor."""
    spec = find_spec("daphne.cli")
    assert spec is not None
    assert spec.origin is not None
    calls = [node for node in ast.walk(ast.parse(Path(spec.origin).read_text())) if isinstance(node, ast.Call)]
    adding = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"]
    words = {word.value for call in adding for word in call.args if isinstance(word, ast.Constant)}
    return {word for word in words if word.startswith("-")}


def test_every_option_of_daphne_is_taken() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = daphne_options()
    assert {"-p", "--proxy-headers-host", "--websocket_timeout"} <= options
    assert options - set(parser._option_string_actions) == set()
