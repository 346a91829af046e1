"""What the operator makes of the steps of a host list; the steps themselves are hosts.rolling's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.operator_targets import target
from tests.support.simulated_cluster import SimulatedCluster, settled_cluster

from realtime_gateway.hosts import HostList, Shard
from realtime_operator.decide import epochs
from realtime_operator.decide.wanted import wanted_objects
from realtime_operator.objects import host_list, identity
from realtime_operator.objects.pods import INPUTS_ANNOTATION
from realtime_operator.plan import AnnounceHosts, MintHosts
from realtime_operator.snapshot import Fleet, ObjectKey, Process, Snapshot, Unknown
from realtime_operator.status import reasons
from realtime_operator.target import Target

TARGET = target({"redis": {"managed": {"shards": 2}}})
CLUSTER = settled_cluster(TARGET)


@pytest.fixture
def seen() -> SimulatedCluster:
    return CLUSTER


def hosts_of(cluster: SimulatedCluster) -> HostList:
    hosts = cluster.snapshot().hosts
    assert isinstance(hosts, HostList)
    return hosts


def test_a_list_says_that_the_operator_makes_the_next_one(seen: SimulatedCluster) -> None:
    assert hosts_of(seen).managed_by == "RealtimeGateway talk/chat"


def test_where_processes_sign_what_shards_hold_the_operator_leaves_it_to_them(seen: SimulatedCluster) -> None:
    snapshot, hosts = seen.snapshot(), hosts_of(seen)
    behind = replace(snapshot, hosts=replace(hosts, epoch=2, earlier=(hosts,)), status_epoch=2)
    told = epochs.hosts(TARGET, behind).actions
    assert [action.shard for action in told if isinstance(action, AnnounceHosts)] == ["chat-redis-0", "chat-redis-1"]
    assert epochs.hosts(TARGET, signed(behind)).actions == ()


def test_signed_lists_are_retired_even_when_nobody_lives_who_could_sign(seen: SimulatedCluster) -> None:
    snapshot, hosts = seen.snapshot(), hosts_of(seen)
    grown = replace(hosts, epoch=2, earlier=(replace(hosts, managed_by=""),))
    idle = replace(snapshot, hosts=grown, status_epoch=2, fleet=Fleet(), held_seconds={"all use epoch 2": 61.0})
    assert [type(action) for action in epochs.hosts(TARGET, signed(idle)).actions] == [MintHosts]
    alive = replace(idle, fleet=Fleet((Process("chat-1", 2),)))
    assert epochs.hosts(TARGET, signed(alive)).actions == (), "a living process signs, and it has not yet"


def test_a_list_on_a_shard_that_names_a_server_of_somebody_else_is_never_written_down(seen: SimulatedCluster) -> None:
    snapshot, hosts = seen.snapshot(), hosts_of(seen)
    evil = replace(hosts, epoch=9, shards=(*hosts.shards, Shard("x", 1.0, {"host": "evil"})))
    found = replace(snapshot, shards=(replace(snapshot.shards[0], document=evil), *snapshot.shards[1:]))
    verdict = epochs.hosts(TARGET, found)
    (minted,) = verdict.actions
    assert isinstance(minted, MintHosts)
    assert (minted.hosts.epoch, minted.hosts.shards) == (10, hosts.shards)
    assert minted.hosts.every_shard == hosts.every_shard
    (finding,) = verdict.findings
    assert (finding.type, finding.reason) == (reasons.HOSTS_SYNCED, reasons.HOSTS_CONFLICT)


def test_a_newer_list_on_the_shards_with_a_shard_that_was_just_leaving_is_taken_over(seen: SimulatedCluster) -> None:
    hosts = hosts_of(seen)
    one = target({"redis": {"managed": {"shards": 1}}})
    newer = replace(hosts, epoch=5, shards=hosts.shards[:1], earlier=(replace(hosts, epoch=4, managed_by=""),))
    snapshot = seen.snapshot()
    ahead = replace(snapshot, shards=tuple(replace(shard, document=newer) for shard in snapshot.shards))
    gone = replace(ahead, hosts=None)  # the ConfigMap was deleted while a shard left
    (minted,) = epochs.hosts(one, gone).actions
    assert isinstance(minted, MintHosts)
    assert minted.hosts == newer


def signed(snapshot: Snapshot) -> Snapshot:
    def sign(document: object) -> HostList:
        assert isinstance(document, HostList)
        return replace(document, signature="…")

    return replace(snapshot, shards=tuple(replace(shard, document=sign(shard.document)) for shard in snapshot.shards))


# --- external shards, which only pods can carry a list to
def external(*names: str) -> Target:
    return target({"redis": {"external": {"hosts": [{"name": name, "host": name} for name in names]}}})


def look(target: Target, listed: HostList, status: dict[str, Any]) -> Snapshot:
    """A list in place, and the Deployment as far as the status says."""
    config = host_list.config_map(target, listed)
    config["metadata"]["resourceVersion"] = "7"
    resource = {"kind": "ConfigMap", "metadata": {"name": identity.resource_name(target)}}
    deployment = {"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 3}, "status": status}
    return Snapshot(
        objects={
            ObjectKey("ConfigMap", identity.hosts_name(target)): config,
            ObjectKey("ConfigMap", identity.resource_name(target)): resource,
            ObjectKey("Deployment", target.name): deployment,
        },
        hosts=listed,
        fleet=Unknown("the shards are run by somebody else"),
    )


ROLLING = {"observedGeneration": 2, "replicas": 4, "updatedReplicas": 1, "availableReplicas": 3}
DONE = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
ONE, TWO = external("a"), external("a", "b")
MANAGED = "RealtimeGateway talk/chat"
FIRST = HostList(1, host_list.wanted_shards(ONE), managed_by=MANAGED)
SECOND = HostList(2, host_list.wanted_shards(TWO), (replace(FIRST, managed_by=""),), MANAGED)


def inputs(target: Target, listed: HostList) -> str:
    """By what the gateway's pods are told from those of before."""
    (made,) = (one for one in wanted_objects(target, look(target, listed, DONE)) if one["kind"] == "Deployment")
    return str(made["spec"]["template"]["metadata"]["annotations"][INPUTS_ANNOTATION])


def test_the_list_that_the_resource_asks_for_is_written_down_first() -> None:
    (action,) = epochs.hosts(TWO, look(TWO, FIRST, DONE)).actions
    assert isinstance(action, MintHosts)
    assert action.hosts == SECOND
    assert inputs(TWO, FIRST) == inputs(ONE, FIRST), "pods that start before the list is there would read the old one"


def test_other_shards_make_new_pods_and_an_epoch_alone_does_not() -> None:
    assert inputs(TWO, SECOND) != inputs(TWO, FIRST)
    assert inputs(TWO, replace(SECOND, epoch=3, earlier=())) == inputs(TWO, SECOND)


def test_a_list_is_in_use_when_every_pod_has_started_with_it() -> None:
    verdict = epochs.hosts(TWO, look(TWO, SECOND, ROLLING))
    assert verdict.actions == ()
    (found,) = (one for one in verdict.findings if one.type == reasons.HOSTS_SYNCED)
    assert found.reason == reasons.WAITING_FOR_PROCESSES
    assert not [one for one in epochs.hosts(TWO, look(TWO, SECOND, DONE)).findings if one.type == reasons.HOSTS_SYNCED]


def test_the_list_before_it_is_retired_once_what_it_held_has_expired() -> None:
    snapshot = look(TWO, SECOND, DONE)
    waiting = epochs.hosts(TWO, snapshot)
    assert waiting.actions == ()
    held = dict.fromkeys(waiting.facts, TWO.spec.channel_layer.expiry_seconds + 1.0)
    (action,) = epochs.hosts(TWO, replace(snapshot, held_seconds=held)).actions
    assert isinstance(action, MintHosts)
    assert action.hosts.earlier == ()
    assert epochs.hosts(TWO, look(TWO, SECOND, ROLLING)).facts == frozenset(), "not while an old pod may still use it"
