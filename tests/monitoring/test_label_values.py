"""What rules and panels ask for exists: each metric, each label, and each value that a label is compared with."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import NamedTuple

import pytest

from realtime_operator import recording
from realtime_operator.status import reasons
from tests.monitoring.test_dashboards import QUERIES
from tests.monitoring.test_rules import RULES

SELECTOR = re.compile(r"\b(realtime_gateway_\w+?)(?:_total|_bucket|_sum|_count)?\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
# Of whatever is scraped, whose values no code of ours knows.
PLACES = {"namespace", "job", "instance"}
# In a process that has done nothing yet: what stands there does so from the start.
DECLARED = """
import json
from realtime_gateway.layer import drops, shared_limits
from realtime_gateway.security import denial
from realtime_gateway.telemetry import recorder
values = {
    one.name: [one.label, list(one.series if one.kind == "histogram" else one.values)]
    for one in recorder.FAMILIES.values()
}
print(json.dumps(values))
"""
OF_THE_OPERATOR = {
    ("operator_reconciles", "result"): {recording.DONE, recording.RESTED, recording.FAILED, recording.NOT_LEADING},
    ("operator_spans_dropped", "reason"): {recording.QUEUE_FULL, recording.REFUSED},
    ("operator_condition", "type"): {
        *(reasons.READY, reasons.PROGRESSING, reasons.DEGRADED),
        *(reasons.REDIS_HEALTHY, reasons.HOSTS_SYNCED, reasons.PAUSED),
    },
}


class Asked(NamedTuple):
    """One value that a label of a metric is compared with."""

    metric: str
    label: str
    value: str


def asked_in(text: str) -> set[Asked]:
    return {
        Asked(name.removeprefix("realtime_gateway_"), label, value)
        for name, matchers in SELECTOR.findall(text)
        for label, operator, values in MATCHER.findall(matchers)
        for value in (values.split("|") if "~" in operator else [values])
        if label not in PLACES
    }


ASKED = sorted(asked_in("\n".join([RULES.read_text(), *QUERIES.values()])))


@pytest.fixture(scope="module")
def known() -> dict[tuple[str, str], set[str]]:
    """(metric, label) → the values that stand on the metrics page from the start."""
    done = subprocess.run([sys.executable, "-c", DECLARED], capture_output=True, text=True, check=True, timeout=60)
    declared = json.loads(done.stdout)
    return {(name, label): set(values) for name, (label, values) in declared.items()} | OF_THE_OPERATOR


def test_values_are_asked_for() -> None:
    assert {"layer_dropped", "handshakes", "connections_closed", "operator_condition"} <= {one.metric for one in ASKED}


@pytest.mark.parametrize("one", ASKED, ids="-".join)
def test_a_value_that_is_asked_for_is_one_that_the_code_counts(
    one: Asked, known: dict[tuple[str, str], set[str]]
) -> None:
    assert one.value in known[one.metric, one.label]
