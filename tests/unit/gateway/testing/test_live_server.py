"""What the test case finds out about the tests around it; the server itself is in tests/integration/django."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from realtime_gateway.testing.live_server import database_names, overridden_settings


def test_the_innermost_override_wins() -> None:
    with override_settings(ONE=1, TWO=1), override_settings(TWO=2):
        assert overridden_settings() == {"ONE": 1, "TWO": 2}


def test_without_overrides_there_are_none() -> None:
    assert overridden_settings() == {}


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="'default' is in memory"):
        database_names()
