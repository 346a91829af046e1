"""What a span shows of a destination's name."""

from __future__ import annotations

import pytest

from realtime_gateway.telemetry.destinations import Destinations


@pytest.mark.parametrize(
    ("kind", "name", "template"),
    [
        ("group", "chat_lobby", "chat_{name}"),
        ("group", "chat_lobby_2", "chat_{name}"),
        ("group", "room.7", "room.{name}"),
        ("group", "user-anna", "user-{name}"),
        ("group", "lobby", "{group}"),
        ("group", "chat_", "{group}"),
        ("group", "7f3a_lobby", "{group}"),
        ("group", "_lobby", "{group}"),
        ("group", "x" * 40 + "_1", "{group}"),
        ("channel", "specific.1b2c!9d8e", "{channel}"),
        ("queue", "thumbnails-generate", "thumbnails-generate"),
    ],
)
def test_the_template_of_a_name(kind: str, name: str, template: str) -> None:
    assert Destinations().template_of(kind, name) == template


def test_names_that_begin_with_people_make_no_end_of_templates() -> None:
    templates = Destinations()
    letters = "abcdefghijklmnopqrstuvwxyz"
    shown = {templates.template_of("group", f"{first}{second}_bob") for first in letters for second in letters}
    assert len(shown) == 65
    assert templates.template_of("group", "zz_bob") == "{group}"
    assert templates.template_of("group", "aa_carl") == "aa_{name}"


def test_a_name_is_left_out_shown_or_hashed_with_the_sites_key() -> None:
    assert Destinations().name_of("chat_lobby") is None
    assert Destinations("raw").name_of("chat_lobby") == "chat_lobby"
    hashed = Destinations("hashed", b"key").name_of("chat_lobby")
    assert hashed is not None
    assert len(hashed) == 16
    assert hashed == Destinations("hashed", b"key").name_of("chat_lobby")
    assert hashed != Destinations("hashed", b"other").name_of("chat_lobby")
    assert hashed != Destinations("hashed", b"key").name_of("chat_lobby2")
