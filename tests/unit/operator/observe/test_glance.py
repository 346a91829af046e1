"""What makes two looks differ."""

from __future__ import annotations

from dataclasses import replace

import pytest

from realtime_operator.observe.glance import fingerprint
from realtime_operator.snapshot import Fleet, Process, Snapshot

PROCESS = Process("chat-a", 1, connections=5, id="p1", auth_stack="session")


def seen(process: Process) -> Snapshot:
    return Snapshot(fleet=Fleet((process,)))


@pytest.mark.parametrize(
    "other", [{"epoch": 2}, {"id": "p2"}, {"name": "chat-b"}, {"auth_stack": "jwt"}, {"auth_stack": None}]
)
def test_what_is_decided_on_makes_a_difference(other: dict[str, object]) -> None:
    assert fingerprint(seen(replace(PROCESS, **other))) != fingerprint(seen(PROCESS))  # type: ignore[arg-type] # fields


def test_connections_that_come_and_go_make_none() -> None:
    assert fingerprint(seen(replace(PROCESS, connections=6))) == fingerprint(seen(PROCESS))


def test_a_secret_that_cannot_be_used_any_more_makes_a_difference() -> None:
    assert fingerprint(replace(seen(PROCESS), tls_trouble="It lacks ca.crt.")) != fingerprint(seen(PROCESS))
