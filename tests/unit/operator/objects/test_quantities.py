"""Quantities in the form that the API server keeps."""

from __future__ import annotations

import pytest

from realtime_gateway.resource.cluster import Resources
from realtime_operator.objects import quantities

KEPT = {
    "0.1": "100m",
    "100m": "100m",
    "1": "1",
    "1000m": "1",
    "1.5": "1500m",
    "2000": "2k",
    "65536Ki": "64Mi",
    "1024": "1024",
    "0.5Gi": "512Mi",
    "1.5Gi": "1536Mi",
    "1000Mi": "1000Mi",
    "1024Mi": "1Gi",
    "100Ki": "100Ki",
    "0": "0",
    "0.0001": "100u",
    "1e3": "1e3",
}


@pytest.mark.parametrize("written", KEPT)
def test_a_quantity_is_written_as_the_api_server_keeps_it(written: str) -> None:
    assert quantities.canonical(written) == KEPT[written]


@pytest.mark.parametrize("written", [w for w in KEPT if w != "1e3"])
def test_writing_it_again_changes_nothing(written: str) -> None:
    assert quantities.canonical(KEPT[written]) == KEPT[written]


def test_bytes_are_binary() -> None:
    assert quantities.from_bytes(320 * 1024 * 1024) == "320Mi"
    assert quantities.from_bytes(1000) == "1k"


def test_an_empty_side_of_resources_is_left_out() -> None:
    assert quantities.resources(Resources(requests={"cpu": "0.1"})) == {"requests": {"cpu": "100m"}}
