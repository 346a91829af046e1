import dataclasses
from dataclasses import dataclass

import pytest

from realtime_gateway.resource.fields import MIB, Size, Text, section, setting, settings_of


@dataclass(frozen=True)
class Inner:
    speed: int = setting("How fast.", default=1)


@dataclass(frozen=True)
class Outer:
    name: str = setting("What it is called.")
    queue_size_bytes: int = setting("How long it is.", default=MIB, rule=Size(1, MIB))
    per_ip: int = setting("How many.", default=0, name="perIP")
    inner: Inner = section("What is inside.", Inner)
    password: str | None = setting("Nobody may see it.", default=None, rule=Text(secret=True))


def test_names_are_camel_case_and_a_size_loses_its_unit():
    assert [each.name for each in settings_of(Outer)] == ["name", "queueSize", "perIP", "inner", "password"]


def test_a_setting_knows_whether_it_is_required_and_its_default():
    name, size, _, inner, password = settings_of(Outer)
    assert name.required
    assert not size.required
    assert size.default == MIB
    assert inner.default == Inner()
    assert password.type is str


def test_a_section_is_a_plain_frozen_dataclass():
    outer = Outer(name="a")
    assert outer.inner.speed == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        outer.name = "b"  # type: ignore[misc]  # the test is that this fails


def test_a_repr_shows_no_secret():
    assert "hush" not in repr(Outer(name="a", password="hush"))
