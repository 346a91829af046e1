"""What the operator makes of the steps of a host list; the steps themselves are hosts.rolling's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.operator_targets import target
from tests.support.simulated_cluster import SimulatedCluster, settled_cluster

from realtime_gateway.hosts import HostList
from realtime_operator.decide import epochs
from realtime_operator.plan import AnnounceHosts, MintHosts
from realtime_operator.snapshot import Fleet, Process, Snapshot

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


def signed(snapshot: Snapshot) -> Snapshot:
    def sign(document: object) -> HostList:
        assert isinstance(document, HostList)
        return replace(document, signature="…")

    return replace(snapshot, shards=tuple(replace(shard, document=sign(shard.document)) for shard in snapshot.shards))
