"""Each query of each panel and each recording rule is asked of a real Prometheus that has scraped a gateway at work."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts.monitoring.__main__ import main
from charts.monitoring.dashboards import PAGES

from realtime_gateway.telemetry import recorder
from tests.monitoring.conftest import MONITORING, PLENTY_SECONDS, Scene
from tests.support.conditions import wait_until

DASHBOARDS = MONITORING / "dashboards"
# What Grafana puts in the place of its variables.
VARIABLES = {"$namespace": ".*", "$job": ".*", "$__rate_interval": "5s"}


def panels_of(path: Path) -> Iterator[dict[str, Any]]:
    for row in json.loads(path.read_text())["panels"]:
        yield from row.get("panels", []) or ([row] if row["type"] != "row" else [])


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [one for one in json.loads(path.read_text())["panels"] if one["type"] == "row"]


PANELS = {
    f"{path.stem}: {panel['title']}": panel for path in sorted(DASHBOARDS.glob("*.json")) for panel in panels_of(path)
}
QUERIES = {
    f"{name}, {target['refId']}": target["expr"] for name, panel in PANELS.items() for target in panel["targets"]
}
RECORDS = {
    rule["record"]: rule["expr"]
    for group in yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]
    for rule in group["rules"]
    if "record" in rule
}


def filled(expression: str) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def numbers(scene: Scene, expression: str) -> list[float]:
    """What an expression comes to, without what is not a number: a quantile of nothing."""
    found = (float(one["value"][1]) for one in scene.prometheus.query(expression))
    return [value for value in found if not math.isnan(value)]


def firing(scene: Scene) -> set[str]:
    return {name.removeprefix("RealtimeGateway") for name in scene.prometheus.firing()}


def test_the_files_are_what_the_code_makes() -> None:
    assert main(["--check", str(DASHBOARDS)]) == 0


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.stem)
def test_a_dashboard_has_panels_that_grafana_can_tell_apart(path: Path) -> None:
    found = list(panels_of(path))
    assert len(found) >= 6
    ids = [one["id"] for one in (*found, *rows_of(path))]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in found]
    assert len(set(titles)) == len(titles)
    for panel in found:
        assert panel["targets"], panel["title"]
        assert all(target["expr"].strip() for target in panel["targets"]), panel["title"]


def test_every_panel_is_asked() -> None:
    files = sorted(DASHBOARDS.glob("*.json"))
    assert [path.stem for path in files] == sorted(page.uid for page in PAGES)
    asked = {
        f"{page.uid}: {panel.title}": panel.queries
        for page in PAGES
        for panels in page.rows.values()
        for panel in panels
    }
    assert PANELS.keys() == asked.keys()
    assert sorted(QUERIES.values()) == sorted(query.expression for queries in asked.values() for query in queries)
    assert len(QUERIES) == sum(path.read_text().count('"expr":') for path in files)
    assert len(QUERIES) > 50


@pytest.mark.parametrize("name", QUERIES)
def test_a_panel_shows_nothing_where_its_metric_is_no_more(name: str) -> None:
    """What makes a number of nothing would hide that."""
    assert not re.search(r"\b(vector|absent|scalar)\b", QUERIES[name])


@pytest.mark.parametrize("name", QUERIES)
def test_a_panel_shows_something(name: str, scene: Scene) -> None:
    wait_until(lambda: numbers(scene, filled(QUERIES[name])), PLENTY_SECONDS, 0.2)


@pytest.mark.parametrize("name", RECORDS)
def test_a_recording_rule_records_something(name: str, scene: Scene) -> None:
    wait_until(lambda: numbers(scene, name), PLENTY_SECONDS, 0.2)


def test_no_alert_fires_while_all_is_well(scene: Scene) -> None:
    """But for those of what this load does wrong on purpose, and those that say how fast the machine is."""
    wrong = {"HandshakesFail", "ConsumersFail"}
    slow = {"DeliverySlow", "PublishingSlow", "WorkersBehind", "SendersWait", "LoopBlocked"}
    wait_until(lambda: firing(scene) >= wrong, PLENTY_SECONDS, 0.2)
    assert firing(scene) - slow == wrong


def test_a_latency_of_a_whole_way_is_less_than_a_second(scene: Scene) -> None:
    """On a machine with other work it may be long; it is no difference between clocks, which may be years."""
    for way in ("direct", "mailbox"):
        total, count = (f'sum(realtime_gateway_delivery_seconds_{part}{{way="{way}"}})' for part in ("sum", "count"))
        expression = f"{total} / {count}"
        wait_until(lambda asked=expression: numbers(scene, asked), PLENTY_SECONDS, 0.2)
        [mean] = numbers(scene, expression)
        assert 0 <= mean < 1


def test_every_metric_is_on_a_dashboard() -> None:
    """But the one that says which auth stack a process has, of which a condition tells."""
    asked = " ".join(QUERIES.values())
    shown = set(re.findall(r"realtime_gateway_(\w+?)(?:_bucket|_total)?\{", asked))
    assert set(recorder.FAMILIES) - shown == {"auth_stack"}


def test_no_label_of_ours_clashes_with_one_of_prometheus_s_own(scene: Scene) -> None:
    """A clash makes ``exported_…`` of ours, and rules and panels that name it find Prometheus's."""
    wait_until(lambda: numbers(scene, "realtime_gateway_operator_condition"), PLENTY_SECONDS, 0.2)
    names = scene.prometheus.ask("labels")
    assert {"namespace", "job", "instance", "resource_namespace"} <= set(names)
    assert not [name for name in names if name.startswith("exported_")]
