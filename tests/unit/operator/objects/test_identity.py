"""Names stay distinct and short enough for what Kubernetes appends to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.operator_targets import target

from realtime_operator.objects import identity

LONGEST = target(name="a" * 40)


@pytest.mark.parametrize(
    "name",
    [
        identity.shard_name(LONGEST, 63),
        identity.sentinel_set(LONGEST),
        identity.worker_name(LONGEST, "b" * 40),
        identity.cache_name(LONGEST),
    ],
)
def test_the_longest_controller_name_leaves_room_for_a_revision(name: str) -> None:
    assert len(name) <= 52


def test_the_longest_pod_name_is_a_label() -> None:
    assert len(identity.server_name(LONGEST, 63, 5)) <= 63
    assert len(identity.accounts_name(LONGEST)) <= 63


@given(st.lists(st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True), unique=True, min_size=2, max_size=2))
def test_different_workers_have_different_names(names: list[str]) -> None:
    first, second = (identity.worker_name(LONGEST, name) for name in names)
    assert first != second
    assert len(first) <= 52
    assert not first.endswith("-")


def test_a_resource_made_again_has_other_master_names() -> None:
    """Sentinels of the one before may still be ending, and must not be mistaken for those of this one."""
    again = target(uid="5f1c1a0e-0000-4000-8000-000000000002")
    assert identity.master_name(again, 0) != identity.master_name(target(), 0)
