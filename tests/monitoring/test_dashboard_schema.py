"""Grafana takes each dashboard as it stands: its schema, and what it would refuse or show wrongly beyond that."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.models import units

from tests.monitoring.conftest import MONITORING, PLENTY_SECONDS, ROOT, Scene
from tests.support.conditions import wait_until
from tests.support.go_program import BUILD_SECONDS, built

CHECKER = Path(__file__).parent / "schema"
DIRECTORIES = (MONITORING / "dashboards", ROOT / "operator" / "realtime_operator" / "objects" / "grafana")
FILES = [path for directory in DIRECTORIES for path in sorted(directory.glob("*.json"))]
NAMES = [f"{path.parent.name}-{path.stem.removeprefix('realtime-gateway-')}" for path in FILES]
DASHBOARDS = pytest.mark.parametrize("made", [json.loads(path.read_text()) for path in FILES], ids=NAMES)
# What the checker knows: of another kind it would take anything.
KINDS = {"row", "timeseries", "stat", "heatmap"}
COLUMNS = 24
# Grafana's bound on a dashboard's uid, and the letters that it may have.
UID = re.compile(r"[a-zA-Z0-9\-_]{1,40}")
UNITS = {value for name, value in vars(units).items() if name[0].isupper() and isinstance(value, str)}
VARIABLE = re.compile(r"\$\{?(\w+)")
LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")


def problems(*dashboards: Path) -> list[str]:
    """What Grafana's own SDK for Go, of its newest schema, has to say of files."""
    checker = built(CHECKER, "dashboards", "the checker of dashboards")
    done = subprocess.run([checker, *dashboards], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def everything_in(made: Any) -> Iterator[dict[str, Any]]:
    """Every object at any depth."""
    if isinstance(made, dict):
        yield made
        made = list(made.values())
    if isinstance(made, list):
        for one in made:
            yield from everything_in(one)


@pytest.mark.timeout(BUILD_SECONDS)
def test_every_dashboard_is_of_grafana_s_schema() -> None:
    assert len(FILES) == 11
    assert problems(*FILES) == []


@pytest.mark.timeout(BUILD_SECONDS)
@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (("title",), 7, "cannot unmarshal number"),
        (("style",), "dark", "unexpected field 'style'"),
        (("panels", 1, "gridPos", "w"), 25, "must be <= 24"),
        (("panels", 1, "options", "legend"), {"rows": 3}, "unexpected field 'rows'"),
        (("panels", 1, "targets", 0, "expression"), "up", "unexpected field 'expression'"),
    ],
    ids=["a-wrong-type", "an-unknown-field", "a-bound", "an-option-of-a-panel", "a-query"],
)
def test_what_is_not_of_the_schema_is_found(
    place: tuple[str | int, ...], value: object, problem: str, tmp_path: Path
) -> None:
    made = inner = json.loads((DIRECTORIES[0] / "realtime-gateway-redis.json").read_text())
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(made))
    assert problem in "\n".join(problems(path))


@DASHBOARDS
def test_a_dashboard_is_of_kinds_of_panels_whose_options_are_checked(made: dict[str, Any]) -> None:
    assert {panel["type"] for panel in made["panels"]} <= KINDS
    assert not [panel for panel in made["panels"] if panel.get("panels")]


@DASHBOARDS
def test_a_dashboard_can_be_told_from_others(made: dict[str, Any]) -> None:
    """Grafana gives it a number itself, and refuses one that another has."""
    assert UID.fullmatch(made["uid"])
    assert made.get("id") is None
    assert made["title"]


@DASHBOARDS
def test_each_panel_has_a_number_and_a_place_of_its_own(made: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(number > 0 for number in ids)
    places = [panel["gridPos"] for panel in made["panels"]]
    for one in places:
        assert one["w"] > 0
        assert one["h"] > 0
        assert 0 <= one["x"] <= COLUMNS - one["w"]
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, f"{one} overlaps {other}"


@DASHBOARDS
def test_each_unit_is_one_that_grafana_knows(made: dict[str, Any]) -> None:
    """It would show any other behind the number, as a word."""
    said = {one["unit"] for one in everything_in(made) if "unit" in one}
    assert said
    assert said <= UNITS


@DASHBOARDS
def test_what_is_asked_is_asked_of_the_prometheus_that_is_chosen(made: dict[str, Any]) -> None:
    panels = [panel for panel in made["panels"] if panel["type"] != "row"]
    variables = [one for one in made["templating"]["list"] if one["type"] == "query"]
    assert all(one["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for one in (*panels, *variables))
    assert [one["query"] for one in made["templating"]["list"] if one["name"] == "datasource"] == ["prometheus"]


@DASHBOARDS
def test_each_variable_that_is_used_is_there_and_before_its_use(made: dict[str, Any]) -> None:
    known: set[str] = set()
    for variable in made["templating"]["list"]:
        assert set(VARIABLE.findall(variable.get("query") or "")) <= known
        known.add(variable["name"])
    used = set(VARIABLE.findall(json.dumps(made["panels"])))
    assert {one for one in used if not one.startswith("__")} == known
    assert {one for one in used if one.startswith("__")} <= {"__rate_interval"}


@DASHBOARDS
def test_each_choice_has_something_to_choose(made: dict[str, Any], scene: Scene) -> None:
    choices = [one for one in made["templating"]["list"] if one["type"] == "query"]
    assert [one["name"] for one in choices] == ["namespace", "job"]
    for choice in choices:
        asked = LABEL_VALUES.fullmatch(choice["query"])
        assert asked, choice["query"]
        selector, label = asked.groups()
        chosen = selector.replace("$namespace", ".*")
        wait_until(
            lambda label=label, chosen=chosen: scene.prometheus.ask(f"label/{label}/values", **{"match[]": chosen}),
            PLENTY_SECONDS,
            0.2,
        )
