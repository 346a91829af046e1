import dataclasses
import typing

import pytest

from realtime_gateway.resource import GatewaySpec
from realtime_gateway.resource.fields import Items, Number, Setting, Size, Text, settings_of
from realtime_gateway.resource.reference import _inner_section
from realtime_gateway.resource.spec import Endpoint, ExternalHost
from realtime_gateway.resource.support import KUBERNETES_ONLY, NOT_BUILT


def everything(kind: type = GatewaySpec, path: str = "") -> dict[str, Setting]:
    found = {}
    for setting in settings_of(kind):
        below = f"{path}.{setting.name}".removeprefix(".")
        found[below] = setting
        inner = _inner_section(setting)
        if inner is not None:
            found |= everything(inner, below)
    return found


SETTINGS = everything()


def test_each_field_says_what_it_is_in_a_sentence():
    assert not [path for path, setting in SETTINGS.items() if not setting.description.endswith(".")]


def test_each_number_text_and_list_has_bounds():
    for path, setting in SETTINGS.items():
        origin = typing.get_origin(setting.type)
        if setting.type in (int, float):
            assert isinstance(setting.rule, Number | Size), path
        elif setting.type is str:
            assert isinstance(setting.rule, Text), path
        elif origin is not None and origin is not typing.Literal:
            assert isinstance(setting.rule, Items), path


def test_each_default_keeps_its_own_bounds():
    for path, setting in SETTINGS.items():
        if isinstance(setting.rule, Number) and setting.default is not None:
            assert setting.rule.minimum <= setting.default <= setting.rule.maximum, path
        if isinstance(setting.rule, Size) and not setting.required:
            assert setting.rule.minimum_bytes <= setting.default <= setting.rule.maximum_bytes, path


def test_the_table_of_what_works_names_only_fields_that_exist():
    assert SETTINGS.keys() >= {*NOT_BUILT, *KUBERNETES_ONLY}


def test_no_field_is_both_refused_and_ignored():
    assert not NOT_BUILT & KUBERNETES_ONLY


def test_everything_but_the_application_has_a_default():
    assert [setting.name for setting in settings_of(GatewaySpec) if setting.required] == ["application"]
    spec = GatewaySpec(application="chat.asgi:application")
    assert spec.redis.managed is not None
    assert spec.redis.external is None
    assert dataclasses.replace(spec, replicas=1).replicas == 1


@pytest.mark.parametrize(
    ("host", "connection"),
    [
        (ExternalHost("a", url="redis://h/1"), {"address": "redis://h/1"}),
        (ExternalHost("a", host="h", db=2), {"host": "h", "port": 6379, "db": 2}),
        (ExternalHost("a", host="h", username="u"), {"host": "h", "port": 6379, "db": 0, "username": "u"}),
        (
            ExternalHost("a", sentinels=(Endpoint("s"),), master_name="m"),
            {"sentinels": [["s", 26379]], "master_name": "m", "db": 0},
        ),
    ],
)
def test_an_external_host_becomes_a_host_form_of_channels_redis(host, connection):
    assert host.connection() == connection


def test_the_password_in_an_external_host_is_not_shown():
    assert "hush" not in repr(ExternalHost("a", url="redis://:hush@h/1"))
