"""A cluster's pods as rows of the console."""

from __future__ import annotations

from typing import Any

from tests.support.operator_scenes import A, B, primary, replica, scene

from realtime_gateway.console.gateway_numbers import GatewayNumbers
from realtime_operator.console.processes import rows
from realtime_operator.snapshot import Fleet, Pod, Process, Snapshot, Unknown


def pod(name: str, *, ready: bool = True, deleting: bool = False, trouble: str = "", message: str = "") -> Pod:
    return Pod(name, f"uid-{name}", ready, deleting, trouble=trouble, message=message)


def seen(name: str, restarts: int) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"containerStatuses": [{"restartCount": restarts}]}}


def told(snapshot: Snapshot, **more: Any) -> dict[str, dict[str, Any]]:
    found = rows("chat", snapshot, more.get("seen", ()), more.get("numbers", {}))
    return {row["name"]: row for row in found}


def test_a_gateway_tells_its_connections_and_epoch_itself_and_else_by_what_it_reported() -> None:
    processes = (Process("chat-1", 3, connections=7), Process("chat-2", 2, connections=4))
    snapshot = Snapshot(pods=(("gateway", pod("chat-1")), ("gateway", pod("chat-2"))), fleet=Fleet(processes))
    found = told(snapshot, numbers={"chat-1": GatewayNumbers(9, 4)})
    assert (found["1"]["connections"], found["1"]["epoch"]) == (9, 4)
    assert (found["2"]["connections"], found["2"]["epoch"]) == (4, 2)


def test_a_worker_has_an_epoch_and_no_connections() -> None:
    snapshot = Snapshot(
        pods=(("worker", pod("chat-worker-1")),), fleet=Fleet((Process("chat-worker-1", 3, connections=0),))
    )
    (row,) = told(snapshot).values()
    assert (row["kind"], row["epoch"], row["connections"]) == ("worker", 3, None)


def test_what_is_not_known_of_the_fleet_is_not_made_up() -> None:
    snapshot = Snapshot(pods=(("gateway", pod("chat-1")),), fleet=Unknown("no shard answers"))
    assert (told(snapshot)["1"]["connections"], told(snapshot)["1"]["epoch"]) == (None, None)


def test_states_and_troubles_are_those_of_the_pods() -> None:
    pods = {
        "ready": pod("chat-ready"),
        "starting": pod("chat-starting", ready=False, trouble="ImagePullBackOff", message="no such image"),
        "restarting": pod("chat-restarting", ready=False, trouble="CrashLoopBackOff"),
        "stopping": pod("chat-stopping", deleting=True),
    }
    snapshot = Snapshot(pods=tuple(("gateway", one) for one in pods.values()))
    found = told(snapshot, seen=[seen("chat-restarting", 5)])
    assert {name: row["state"] for name, row in found.items()} == {name: name for name in pods}
    assert found["starting"]["note"] == "ImagePullBackOff no such image"
    assert found["restarting"]["restarts"] == 5


def test_servers_say_who_is_the_primary_and_one_that_is_silent_is_not_ready() -> None:
    shard = scene({A: primary(B), B: replica(A)}, []).shard
    found = told(Snapshot(shards=(shard,)))
    assert [(row["role"], row["shard"], row["address"]) for row in found.values()] == [
        ("primary", "chat-redis-0", "10.0.0.1:6379"),
        ("replica", "chat-redis-0", "10.0.0.2:6379"),
    ]
    silent = scene({A: Unknown("no answer"), B: None}, []).shard
    (row,) = told(Snapshot(shards=(silent,))).values()
    assert (row["role"], row["state"], row["note"]) == ("unknown", "waiting", "no answer")
