"""The operator's own settings."""

from __future__ import annotations

import pytest

from realtime_gateway.errors import ConfigurationError
from realtime_operator.options import read_options

GIVEN = {"REALTIME_GATEWAY_OPERATOR_NAMESPACE": "rtg", "REALTIME_GATEWAY_OPERATOR_IMAGE": "gateway:1"}


def test_without_a_list_of_namespaces_all_are_served() -> None:
    options = read_options(GIVEN)
    assert options.watched == ()
    assert options.identity


def test_namespaces_are_listed_with_commas() -> None:
    assert read_options({**GIVEN, "REALTIME_GATEWAY_OPERATOR_WATCH": "a, b ,"}).watched == ("a", "b")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(
        ConfigurationError, match="REALTIME_GATEWAY_OPERATOR_NAMESPACE and REALTIME_GATEWAY_OPERATOR_IMAGE"
    ):
        read_options({})
