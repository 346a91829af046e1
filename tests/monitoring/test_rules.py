"""Each alert fires in the fault that it is for, alone, and not otherwise: Prometheus's own unit tests of its rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts" / "realtime-gateway" / "files" / "monitoring" / "rules.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
PLACE = {"namespace": "town", "job": "chat"}
INTERVAL_SECONDS = 30
LOOKED_SECONDS = 1800
# What has happened once is worth being told.
AT_ONCE = {"Failover", "MessagesLost", "RenderingFails", "LoopBlocked"}


@dataclass(frozen=True)
class Case:
    """Series of a fault, what they are when all is well, and what fires.

    Attributes:
        fault: series without their places → values as promtool writes them, one every 30 s.
        well: the same series where nothing is to fire.
        after: when it is looked.
        labels: of the alert that fires, beside the place and the severity.
    """

    fault: dict[str, str]
    well: dict[str, str]
    after: str = "20m"
    labels: dict[str, str] = field(default_factory=dict)


def quantile(metric: str, slow: str, fast: str, more: str = "") -> dict[str, str]:
    """The buckets of a histogram, most samples of which are slow, or fast."""
    return {
        f'{metric}_bucket{{instance="a",le="0.1"{more}}}': fast,
        f'{metric}_bucket{{instance="a",le="60.0"{more}}}': slow,
        f'{metric}_bucket{{instance="a",le="+Inf"{more}}}': slow,
    }


def shard_up(a: str, b: str) -> dict[str, str]:
    return {f'layer_shard_up{{instance="{name}",shard="0"}}': values for name, values in (("a", a), ("b", b))}


CASES = {
    "ShardDown": Case(shard_up("1x4 0x60", "1x4 0x60"), shard_up("1x60", "1x60"), labels={"shard": "0"}),
    "ShardUnreachable": Case(shard_up("1x60", "1x4 0x60"), shard_up("1x60", "1 0x4 1x60"), labels={"shard": "0"}),
    "Failover": Case(
        {'layer_failovers_total{instance="a",shard="0"}': "0x30 1x60"},
        {'layer_failovers_total{instance="a",shard="0"}': "3x60"},
        labels={"shard": "0"},
    ),
    "SendersWait": Case(
        {'layer_oldest_unsent_seconds{instance="a"}': "0x30 6+30x60"},
        {'layer_oldest_unsent_seconds{instance="a"}': "0.2x20 4x2 0.1x60"},
    ),
    "PublishingSlow": Case(
        quantile("layer_publish_seconds", "0+10x60", "0x60", ',kind="group"'),
        quantile("layer_publish_seconds", "0+10x60", "0+10x60", ',kind="group"'),
    ),
    "ClocksApart": Case(
        {'layer_clock_offset_seconds{instance="a",shard="0"}': "-7x60"},
        {'layer_clock_offset_seconds{instance="a",shard="0"}': "-0.02x60"},
        labels={"shard": "0"},
    ),
    "MessagesLost": Case(
        {'layer_dropped_total{instance="a",reason="lost"}': "0x30 1x60"},
        {
            'layer_dropped_total{instance="a",reason="lost"}': "5x60",
            'layer_dropped_total{instance="a",reason="idle"}': "0+1x60",
        },
        labels={"reason": "lost"},
    ),
    "MessagesDropped": Case(
        {
            'layer_dropped_total{instance="a",reason="capacity"}': "0+5x60",
            'layer_delivered_total{instance="a",kind="group"}': "0+100x60",
        },
        {
            'layer_dropped_total{instance="a",reason="capacity"}': "0+1x60",
            'layer_delivered_total{instance="a",kind="group"}': "0+1000x60",
        },
    ),
    "SendsFail": Case(
        {
            'layer_refused_total{instance="a",reason="refused"}': "0+2x60",
            'layer_published_total{instance="a",kind="group"}': "0+98x60",
        },
        {
            'layer_refused_total{instance="a",reason="full"}': "0+1x60",
            'layer_published_total{instance="a",kind="queue"}': "0+1000x60",
        },
    ),
    "DeliverySlow": Case(
        quantile("delivery_seconds", "0+10x60", "0x60", ',way="mailbox"'),
        quantile("delivery_seconds", "0+10x60", "0+10x60", ',way="mailbox"'),
        labels={"way": "mailbox"},
    ),
    "WorkersBehind": Case(
        quantile("layer_queue_wait_seconds", "0+10x60", "0x60"),
        quantile("layer_queue_wait_seconds", "0+100x60", "0+95x60"),
    ),
    "RenderingFails": Case(
        {'fan_out_errors_total{instance="a"}': "0x30 1x60"}, {'fan_out_errors_total{instance="a"}': "0x60"}
    ),
    "HandshakesFail": Case(
        {
            'handshakes_total{instance="a",result="failed"}': "0+2x60",
            'handshakes_total{instance="a",result="accepted"}': "0+8x60",
        },
        {
            'handshakes_total{instance="a",result="failed"}': "0+1x60",
            'handshakes_total{instance="a",result="accepted"}': "0+50x60",
        },
    ),
    "ConsumersFail": Case(
        {
            'connections_closed_total{instance="a",reason="application_error"}': "0+2x60",
            'connections_closed_total{instance="a",reason="normal"}': "0+8x60",
        },
        {
            'connections_closed_total{instance="a",reason="application_error"}': "0+1x60",
            'connections_closed_total{instance="a",reason="normal"}': "0+50x60",
        },
    ),
    "TurnsClientsAway": Case(
        {'handshakes_total{instance="a",result="overloaded"}': "0+1x60"},
        {'handshakes_total{instance="a",result="rejected"}': "0+1x60"},
    ),
    "LoopBlocked": Case(
        {'loop_blocked_total{instance="a"}': "0x25 0+1x60"},
        {'loop_blocked_total{instance="a"}': "0x25 1x60"},
        labels={"instance": "a"},
    ),
    "ExportsFail": Case(
        {'exports_failed_total{instance="a",signal="traces"}': "0+1x60"},
        {'exports_failed_total{instance="a",signal="traces"}': "0x5 3x60"},
        labels={"signal": "traces"},
    ),
    "SpansDropped": Case(
        {'spans_dropped_total{instance="a",reason="queue_full"}': "0+50x60"},
        {
            'spans_dropped_total{instance="a",reason="queue_full"}': "0x5 900x60",
            'spans_dropped_total{instance="a",reason="refused"}': "0+50x60",
        },
    ),
    # A process whose application has not used the layer has both at 0.
    "RollStuck": Case(
        {
            'layer_epoch{instance="a"}': "2x60",
            'layer_epoch_settled{instance="a"}': "2x60",
            'layer_epoch_settled{instance="b"}': "1x60",
            'layer_epoch_settled{instance="unused"}': "0x60",
        },
        {
            'layer_epoch{instance="a"}': "1x10 2x60",
            'layer_epoch_settled{instance="b"}': "1x20 2x60",
            'layer_epoch{instance="unused"}': "0x60",
            'layer_epoch_settled{instance="unused"}': "0x60",
        },
    ),
    "NobodyLeads": Case(
        {'operator_leads{instance="a"}': "0x60", 'operator_leads{instance="b"}': "1x4 0x60"},
        {'operator_leads{instance="a"}': "0x60", 'operator_leads{instance="b"}': "0x2 1x60"},
    ),
    "PassesFail": Case(
        {
            'operator_reconciles_total{instance="a",result="failed"}': "0+3x60",
            'operator_reconciles_total{instance="a",result="nothing_to_do"}': "0+1x60",
        },
        {
            'operator_reconciles_total{instance="a",result="failed"}': "0+1x60",
            'operator_reconciles_total{instance="a",result="nothing_to_do"}': "0+3x60",
        },
        after="25m",
    ),
    "NotReady": Case(
        {'operator_condition{instance="a",name="chat",resource_namespace="shop",type="Ready"}': "0x60"},
        {'operator_condition{instance="a",name="chat",resource_namespace="shop",type="Ready"}': "0x10 1x60"},
        labels={"instance": "a", "name": "chat", "resource_namespace": "shop", "type": "Ready"},
    ),
    "Degraded": Case(
        {'operator_condition{instance="a",name="chat",resource_namespace="shop",type="Degraded"}': "1x60"},
        {'operator_condition{instance="a",name="chat",resource_namespace="shop",type="Degraded"}': "1x10 0x60"},
        labels={"instance": "a", "name": "chat", "resource_namespace": "shop", "type": "Degraded"},
    ),
}


# The same of the operator, in series of its own.
OF_THE_OPERATOR = {
    "ExportsFail": Case(
        {'operator_exports_failed_total{instance="a"}': "0+1x60"},
        {'operator_exports_failed_total{instance="a"}': "0x5 3x60"},
        labels={"signal": "traces"},
    ),
    "SpansDropped": Case(
        {'operator_spans_dropped_total{instance="a",reason="queue_full"}': "0+50x60"},
        {
            'operator_spans_dropped_total{instance="a",reason="queue_full"}': "0x5 900x60",
            'operator_spans_dropped_total{instance="a",reason="refused"}': "0+50x60",
        },
    ),
}


def rules() -> dict[str, dict[str, Any]]:
    """The alerts, by their names without the common beginning."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    found = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return {rule["alert"].removeprefix("RealtimeGateway"): rule for rule in found}


ALERTS = rules()
# What is recorded comes before what reads it.
GROUPS = [group["name"] for group in yaml.safe_load(RULES.read_text())["groups"]]


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is missing; it comes with Debian's package prometheus")
    return found


def placed(series: dict[str, str]) -> list[dict[str, str]]:
    place = ",".join(f'{label}="{value}"' for label, value in PLACE.items())
    return [{"series": f"realtime_gateway_{name[:-1]},{place}}}", "values": values} for name, values in series.items()]


def run(promtool: str, directory: Path, series: dict[str, str], after: str, firing: list[dict[str, str]]) -> None:
    """Let time pass over series, and compare everything that fires with what is expected."""
    samples = [
        {"labels": f"ALERTS{{{','.join(f'{k}={json.dumps(v)}' for k, v in labels.items())}}}", "value": 1}
        for labels in firing
    ]
    looked = {"expr": 'ALERTS{alertstate="firing"}', "eval_time": after, "exp_samples": samples}
    unit = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{INTERVAL_SECONDS}s",
        "group_eval_order": GROUPS,
        "tests": [
            {"interval": f"{INTERVAL_SECONDS}s", "input_series": placed(series), "promql_expr_test": [looked]},
        ],
    }
    file = directory / "unit.yaml"
    file.write_text(yaml.safe_dump(unit))
    result = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_a_case() -> None:
    assert set(CASES) == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_what_an_alert_says_names_labels_that_it_has(name: str) -> None:
    said = " ".join(ALERTS[name]["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", said))
    assert named <= {*PLACE, *CASES[name].labels}


@pytest.mark.parametrize(
    ("name", "case"),
    [*CASES.items(), *(pytest.param(*item, id=f"{item[0]} of the operator") for item in OF_THE_OPERATOR.items())],
)
def test_an_alert_fires_in_its_fault_and_no_other_does(name: str, case: Case, promtool: str, tmp_path: Path) -> None:
    severity = ALERTS[name]["labels"]["severity"]
    fixed = {"alertname": f"RealtimeGateway{name}", "alertstate": "firing", "severity": severity}
    run(promtool, tmp_path, case.fault, case.after, [{**fixed, **PLACE, **case.labels}])


@pytest.mark.parametrize("case", [*CASES.values(), *OF_THE_OPERATOR.values()])
def test_nothing_fires_when_all_is_well(case: Case, promtool: str, tmp_path: Path) -> None:
    run(promtool, tmp_path, case.well, case.after, [])


def fires_at(promtool: str, directory: Path, rules_file: Path, name: str, series: dict[str, str]) -> list[int]:
    """The seconds, of the first LOOKED_SECONDS, at which an alert fires."""
    query = f'count(ALERTS{{alertname="RealtimeGateway{name}",alertstate="firing"}}) or vector(0)'
    seconds = range(0, LOOKED_SECONDS + 1, INTERVAL_SECONDS)
    quiet = [
        {"expr": query, "eval_time": f"{second}s", "exp_samples": [{"labels": "{}", "value": 0}]} for second in seconds
    ]
    unit = {
        "rule_files": [str(rules_file)],
        "evaluation_interval": f"{INTERVAL_SECONDS}s",
        "group_eval_order": GROUPS,
        "tests": [
            {"interval": f"{INTERVAL_SECONDS}s", "input_series": placed(series), "promql_expr_test": quiet},
        ],
    }
    file = directory / "quiet.yaml"
    file.write_text(yaml.safe_dump(unit))
    result = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    # What it finds fault with is when the alert was not quiet.
    return [in_seconds(time) for time in re.findall(r"^\s+expr: .*, time: (\w+),$", result.stderr, re.MULTILINE)]


def in_seconds(duration: str) -> int:
    """What Prometheus writes as 1h2m30s."""
    return sum(
        int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([hms])", duration)
    )


@pytest.mark.parametrize("name", sorted(ALERTS.keys() - AT_ONCE))
def test_an_alert_waits_for_as_long_as_it_says(name: str, promtool: str, tmp_path: Path) -> None:
    """What has just begun may pass by itself."""
    groups = yaml.safe_load(RULES.read_text())
    for group in groups["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    hasty = tmp_path / "hasty.yaml"
    hasty.write_text(yaml.safe_dump(groups))
    begun, fires = (fires_at(promtool, tmp_path, file, name, CASES[name].fault) for file in (hasty, RULES))
    waited = fires[0] - begun[0]
    assert waited == in_seconds(ALERTS[name]["for"]) > 0
    assert set(range(begun[0], fires[0] + 1, INTERVAL_SECONDS)) <= set(begun), "the fault was not there all the time"


def test_operators_that_are_gone_do_not_lead(promtool: str, tmp_path: Path) -> None:
    """A target that is no more has no series, and a comparison with nothing is never true."""
    labels = {"alertname": "RealtimeGatewayNobodyLeads", "alertstate": "firing", "severity": "critical", **PLACE}
    gone = {'operator_leads{instance="a"}': "1x4 stale"}
    run(promtool, tmp_path, gone, "20m", [labels])
    run(promtool, tmp_path, gone, "70m", [])  # it was taken away for good
    replaced = {**gone, 'operator_leads{instance="b"}': "_x5 1x60"}
    run(promtool, tmp_path, replaced, "20m", [])


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_has_a_runbook_that_says_what_it_means_and_what_to_do(name: str) -> None:
    page = (RUNBOOKS / f"RealtimeGateway{name}.md").read_text()
    assert page.startswith(f"# RealtimeGateway{name}\n")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["What it means", "What to look at", "What to do"]


def test_no_runbook_is_for_an_alert_that_is_no_more() -> None:
    assert {path.stem for path in RUNBOOKS.glob("RealtimeGateway*.md")} == {f"RealtimeGateway{name}" for name in ALERTS}


def test_promtool_finds_nothing_wrong_with_the_rules(promtool: str) -> None:
    subprocess.run([promtool, "check", "rules", "--lint-fatal", str(RULES)], check=True, capture_output=True)
