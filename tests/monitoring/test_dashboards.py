"""Each query of each panel and each recording rule is asked of a real Prometheus that has scraped a gateway at work."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from charts.monitoring.__main__ import main

from realtime_gateway.telemetry import recorder
from tests.monitoring.conftest import MONITORING, PLENTY_SECONDS, Scene
from tests.support.conditions import wait_until

DASHBOARDS = MONITORING / "dashboards"
# What Grafana puts in the place of its variables.
VARIABLES = {"$namespace": ".*", "$job": ".*", "$__rate_interval": "5s"}


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(DASHBOARDS.glob("*.json")):
        for row in json.loads(path.read_text())["panels"]:
            for panel in row.get("panels", []) or ([row] if row["type"] != "row" else []):
                yield f"{path.stem}: {panel['title']}", panel


PANELS = dict(panels())
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


def test_there_are_panels_to_ask() -> None:
    assert len(QUERIES) > 50
    assert len({panel["id"] for panel in PANELS.values() if "id" in panel}) <= len(PANELS)


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


def test_every_metric_of_the_layer_is_on_a_dashboard() -> None:
    asked = " ".join(QUERIES.values())
    shown = set(re.findall(r"realtime_gateway_(\w+?)(?:_bucket|_total)?\{", asked))
    assert {name for name in recorder.FAMILIES if name.startswith("layer_")} - shown == {
        "layer_mailboxes",
        "layer_limits",
    }
