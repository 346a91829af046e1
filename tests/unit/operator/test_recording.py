"""The operator's own metrics, as Prometheus gets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from realtime_operator import recording

STATUS: dict[str, Any] = {
    "conditions": [
        {"type": "Ready", "status": "True"},
        {"type": "Progressing", "status": "False"},
        {"type": "RedisHealthy", "status": "Unknown"},
    ],
    "hosts": {"epoch": 7, "podsAtEpoch": 3},
}


@pytest.fixture(autouse=True)
def leading() -> Iterator[None]:
    recording.leads(True)
    yield
    recording.leads(False)
    recording.gone("town", "chat")


def samples() -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix(recording.PREFIX), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(generate_latest(recording.REGISTRY).decode())
        for sample in family.samples
    }


def test_conditions_are_numbers() -> None:
    recording.reported("town", "chat", STATUS)
    found = samples()
    assert found["condition", "chat", "town", "Ready"] == 1
    assert found["condition", "chat", "town", "Progressing"] == 0
    assert found["condition", "chat", "town", "RedisHealthy"] == -1
    assert found["host_list_epoch", "chat", "town"] == 7
    assert found["processes_at_epoch", "chat", "town"] == 3


def test_nothing_is_said_of_a_resource_that_is_gone() -> None:
    recording.reported("town", "chat", STATUS)
    recording.gone("town", "chat")
    assert not [labels for labels in samples() if "chat" in labels]


def test_only_who_leads_says_anything_of_resources() -> None:
    recording.reported("town", "chat", STATUS)
    recording.leads(False)
    found = samples()
    assert found["leads",] == 0
    assert not [labels for labels in found if "chat" in labels]


def test_passes_and_calls_are_counted_by_what_they_came_to() -> None:
    before = samples()
    recording.passed(recording.FAILED, 0.3)
    recording.called("PATCH", 409)
    after = samples()
    assert after["reconciles_total", recording.FAILED] == before["reconciles_total", recording.FAILED] + 1
    assert after["reconcile_seconds_count",] == before["reconcile_seconds_count",] + 1
    assert after["api_calls_total", "PATCH", "409"] == before.get(("api_calls_total", "PATCH", "409"), 0) + 1
