"""Nobody is told that a user's WebSockets are closed where no process can have heard of it."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from django.test import override_settings

from realtime_gateway.cli import revoke
from realtime_gateway.errors import ConfigurationError, ShardUnavailable, StartError

IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
OURS = {"BACKEND": "realtime_gateway.layer.RedisChannelLayer"}
NOWHERE = {"default": {**OURS, "CONFIG": {"hosts": ["redis://127.0.0.1:1"], "send_timeout": 0.1}}}


def told(reason: str = "logged out", user: str = "1") -> int:
    return revoke.run(argparse.Namespace(user=user, reason=reason))


@pytest.mark.parametrize(("layers", "part"), [({}, "no channel layer"), (IN_MEMORY, "no other process hears")])
def test_a_site_whose_processes_cannot_hear_each_other_is_refused(
    layers: dict[str, Any], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with override_settings(CHANNEL_LAYERS=layers), pytest.raises(ConfigurationError, match=part):
        told()
    assert capsys.readouterr().out == ""


UPSTREAM = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": ["redis://127.0.0.1:1"]}}


@pytest.mark.parametrize(("layers", "error"), [(NOWHERE, ShardUnavailable), ({"default": UPSTREAM}, StartError)])
def test_a_layer_out_of_reach_is_an_error(
    layers: dict[str, Any], error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    with override_settings(CHANNEL_LAYERS=layers), pytest.raises(error):
        told()
    assert capsys.readouterr().out == ""


def test_a_reason_that_no_close_frame_holds_is_refused() -> None:
    with override_settings(CHANNEL_LAYERS=NOWHERE), pytest.raises(ConfigurationError, match="123 bytes"):
        told("x" * 124)


def test_a_name_where_keys_are_numbers_is_refused_and_not_told_to_anybody() -> None:
    with override_settings(CHANNEL_LAYERS=NOWHERE), pytest.raises(ConfigurationError, match="'ann' is no primary key"):
        told(user="ann")
