"""The application config applies the patches of Channels, unless the settings say otherwise."""

from __future__ import annotations

import channels.consumer
import channels.db
import channels.sessions
import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from realtime_gateway.consumers import database_hop, dispatching, session_looks


def test_the_patches_are_applied_at_start() -> None:
    assert channels.consumer.aclose_old_connections is database_hop.look_after_connections
    assert dispatching.chosen() is dispatching.await_many_dispatch
    assert channels.sessions.InstanceSessionWrapper.send is session_looks.send


def test_a_setting_turns_it_off() -> None:
    database_hop.remove()
    with override_settings(REALTIME_GATEWAY={"SKIP_DATABASE_HOP": False}):
        apps.get_app_config("realtime_gateway").ready()
    assert channels.consumer.aclose_old_connections is channels.db.aclose_old_connections
    assert database_hop.apply()


def test_a_wrong_setting_stops_the_start() -> None:
    with override_settings(REALTIME_GATEWAY={"SKIP": False}), pytest.raises(ImproperlyConfigured):
        apps.get_app_config("realtime_gateway").ready()
