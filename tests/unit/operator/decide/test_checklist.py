"""The decisions as a whole, against a simulated cluster: they converge from anywhere, and then do nothing."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.support.operator_targets import target
from tests.support.simulated_cluster import SimulatedCluster, settled_cluster

from realtime_gateway.hosts import HostList
from realtime_operator.decide.checklist import decide
from realtime_operator.objects import host_list, identity
from realtime_operator.plan import Apply, Evict, MintHosts, SwitchOver
from realtime_operator.snapshot import PARKED, Address, ObjectKey, Pod, Role
from realtime_operator.status import reasons

ONE_SHARD = target({"workers": [{"name": "receipts", "channels": ["receipts"]}], "cache": {"enabled": True}})
TWO_SHARDS = target({"redis": {"managed": {"shards": 2}}})
READY = settled_cluster(ONE_SHARD)
READY_TWO = settled_cluster(TWO_SHARDS)


@pytest.fixture
def ready() -> SimulatedCluster:
    return copy.deepcopy(READY)


def hosts_of(cluster: SimulatedCluster) -> HostList:
    hosts = cluster.snapshot().hosts
    assert isinstance(hosts, HostList)
    return hosts


def change(cluster: SimulatedCluster, spec: dict[str, Any]) -> None:
    cluster.target = target(spec)


def test_from_nothing_everything_comes_up(ready: SimulatedCluster) -> None:
    assert hosts_of(ready).epoch == 1
    assert set(ready.processes.values()) == {1}
    assert len(ready.servers) == 3
    assert ObjectKey("Deployment", "chat") in ready.objects


def test_the_second_pass_does_nothing(ready: SimulatedCluster) -> None:
    plan = decide(ready.target, ready.snapshot())
    assert plan.actions == ()
    assert plan.look_again_seconds is None


@pytest.mark.parametrize("key", sorted(READY.objects), ids=str)
def test_an_object_that_is_deleted_comes_back(ready: SimulatedCluster, key: ObjectKey) -> None:
    before = ready.objects.pop(key)
    ready.run(30)
    after = ready.objects[key]
    if key.kind == "Secret":
        assert after["data"] == before["data"], "servers know only the passwords that they started with"
    if key.kind == "Service" and "redis" in key.name:
        assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]


@pytest.mark.parametrize("key", sorted(READY.objects), ids=str)
def test_a_field_that_is_changed_is_set_right(ready: SimulatedCluster, key: ObjectKey) -> None:
    ready.objects[key]["metadata"]["labels"][identity.COMPONENT_LABEL] = "mine"
    plan = decide(ready.target, ready.snapshot())
    if key.name in {identity.hosts_name(ready.target), identity.passwords_name(ready.target)}:
        return  # never applied; what matters of them is their data
    assert [action.key for action in plan.actions if isinstance(action, Apply)] == [key]


def test_a_paused_resource_is_left_as_it_is(ready: SimulatedCluster) -> None:
    ready.objects.clear()
    plan = decide(replace(ready.target, paused=True), ready.snapshot())
    assert plan.actions == ()
    assert plan.finding(reasons.PAUSED) is not None


def test_what_nothing_wants_any_more_goes(ready: SimulatedCluster) -> None:
    change(ready, {"cache": {"enabled": False}})
    ready.run(30)
    assert not [key for key in ready.objects if "cache" in key.name]
    assert ObjectKey("Deployment", "chat-worker-receipts") not in ready.objects


def test_a_service_monitor_and_dashboards_come_and_go_as_the_resource_says(ready: SimulatedCluster) -> None:
    made = [ObjectKey("Service", "chat-metrics"), ObjectKey("ServiceMonitor", "chat-metrics")]
    made.append(ObjectKey("ConfigMap", "chat-dashboards"))
    assert not {*made} & ready.objects.keys()
    spec = dict(ONE_SHARD.written)
    change(ready, {**spec, "telemetry": {"prometheus": "serviceMonitor", "dashboards": True}})
    ready.run(30)
    assert {*made} <= ready.objects.keys()
    change(ready, spec)
    ready.run(30)
    assert not {*made} & ready.objects.keys()


def test_a_new_shard_joins_the_host_list_when_it_is_ready(ready: SimulatedCluster) -> None:
    change(ready, {"redis": {"managed": {"shards": 2}}})
    ready.run_pass()
    assert hosts_of(ready).epoch == 1
    ready.run(200)
    assert [shard.name for shard in hosts_of(ready).shards] == ["chat-redis-0", "chat-redis-1"]
    assert hosts_of(ready).earlier == ()
    assert hosts_of(ready).epoch == 3, "the second list, and then its earlier ones retired"


def test_a_shard_leaves_only_when_nobody_uses_it() -> None:
    cluster = copy.deepcopy(READY_TWO)
    cluster.processes["celery"] = 1
    adopt = cluster._adopt
    change(cluster, {"redis": {"managed": {"shards": 1}}})

    def adopt_but_celery() -> None:
        adopt()
        cluster.processes["celery"] = 1

    cluster._adopt = adopt_but_celery  # type: ignore[method-assign] # one process that sleeps through the roll
    for _ in range(150):
        cluster.run_pass()
        cluster.step()
    assert ObjectKey("StatefulSet", "chat-redis-1") in cluster.objects
    finding = decide(cluster.target, cluster.snapshot()).finding(reasons.HOSTS_SYNCED)
    assert finding is not None
    assert "celery" in finding.message
    cluster._adopt = adopt  # type: ignore[method-assign] # it wakes up
    cluster.run(300)
    assert ObjectKey("StatefulSet", "chat-redis-1") not in cluster.objects
    assert not [name for name in cluster.servers if name.startswith("chat-redis-1")]
    master = identity.master_name(cluster.target, 1)
    assert all(master not in sentinel.knows for sentinel in cluster.sentinels.values())


def test_there_and_back_again_ends_with_the_same_shards() -> None:
    cluster = copy.deepcopy(READY_TWO)
    for shards in (3, 1, 2):
        change(cluster, {"redis": {"managed": {"shards": shards}}})
        cluster.step()
        cluster.run_pass()
    cluster.run(400)
    assert len(hosts_of(cluster).shards) == 2


def test_an_upgrade_replaces_one_pod_at_a_time_and_moves_the_primary_last(ready: SimulatedCluster) -> None:
    change(ready, {"redis": {"managed": {"image": "docker.io/library/redis:8"}}, "workers": [], "cache": {}})
    order = []
    for _ in range(60):
        plan = ready.run_pass()
        moves = [action for action in plan.actions if isinstance(action, Evict | SwitchOver)]
        assert len(moves) <= 1
        order += ["switch" if isinstance(move, SwitchOver) else move.pod for move in moves]
        ready.step()
    assert [name for name in order if "sentinel" in name] == [f"chat-sentinel-{n}" for n in range(3)]
    assert len(order) == 7
    assert order[5] == "switch"
    assert next(iter(ready.servers.values())).keys > 0
    ready.run(60)


def test_the_budget_of_a_shard_lets_pods_go_that_crash_and_keeps_those_that_only_wait(ready: SimulatedCluster) -> None:
    def budgets(trouble: str) -> dict[str, str]:
        pod = Pod("chat-redis-0-1", "u", False, trouble=trouble)
        plan = decide(ready.target, replace(ready.snapshot(), pods=(("redis", pod),)))
        made = [action.manifest for action in plan.actions if isinstance(action, Apply)]
        return {one["metadata"]["name"]: one["spec"]["unhealthyPodEvictionPolicy"] for one in made}

    assert budgets("") == {}
    assert budgets("CrashLoopBackOff") == {"chat-redis-0": "AlwaysAllow"}


def test_passwords_that_somebody_edits_are_those_again_that_the_servers_know(ready: SimulatedCluster) -> None:
    key = ObjectKey("Secret", "chat-redis-passwords")
    before, copies = (
        copy.deepcopy(ready.objects[key]["data"]),
        ready.objects[ObjectKey("Secret", "chat-redis-accounts")],
    )
    edited = copy.deepcopy(ready.objects[key])
    edited["data"]["gateway"] = "dGhlaXJz"
    ready.objects[key] = edited
    ready.run(30)
    assert ready.objects[key]["data"] == before
    assert ready.objects[ObjectKey("Secret", "chat-redis-accounts")]["data"] == copies["data"]


def test_whoever_deletes_the_host_list_gets_it_back_from_the_shards(ready: SimulatedCluster) -> None:
    before = hosts_of(ready)
    del ready.objects[ObjectKey("ConfigMap", identity.hosts_name(ready.target))]
    ready.run(30)
    assert hosts_of(ready) == before


def test_a_host_list_that_somebody_damages_is_ended_by_a_newer_one(ready: SimulatedCluster) -> None:
    key = ObjectKey("ConfigMap", identity.hosts_name(ready.target))
    ready.objects[key]["data"][host_list.KEY] = "{}"
    ready.run(200)
    assert hosts_of(ready).epoch > 1
    assert hosts_of(ready).shards == host_list.wanted_shards(ready.target)


def test_two_lists_of_one_epoch_are_ended_by_a_newer_one(ready: SimulatedCluster) -> None:
    other = replace(hosts_of(ready), shards=host_list.wanted_shards(TWO_SHARDS))
    for server in ready.servers.values():
        server.document = other
    plan = decide(ready.target, ready.snapshot())
    assert isinstance(plan.actions[0], MintHosts)
    finding = plan.finding(reasons.HOSTS_SYNCED)
    assert finding is not None
    assert finding.reason == reasons.HOSTS_CONFLICT
    ready.run(200)
    assert hosts_of(ready).epoch >= 2


def test_an_epoch_is_never_given_twice_after_everything_is_lost(ready: SimulatedCluster) -> None:
    del ready.objects[ObjectKey("ConfigMap", identity.hosts_name(ready.target))]
    for server in ready.servers.values():
        server.document = None
    ready.run(30)
    assert hosts_of(ready).epoch == 2


# A cluster runs for virtual minutes in each example: the same examples each time, and no search for a smaller one.
UNHURRIED = settings(deadline=None, derandomize=True, phases=[Phase.generate], database=None)
SERVER_STATES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["primary", "replica of 0", "replica of 1", "replica of 2", "parked", "gone"]),
        "keys": st.sampled_from([0, 5]),
        "offset": st.integers(0, 3),
        "history": st.sampled_from(["h1", "h2"]),
        "silent": st.sampled_from([0, 0, 0, 4, 90]),
    }
)
SENTINEL_STATES = st.fixed_dictionaries(
    {"knows": st.sampled_from(["nothing", 0, 1, 2]), "silent": st.sampled_from([0, 0, 0, 4, 90])}
)
SOME_OBJECTS = st.sets(st.sampled_from(sorted(READY.objects)), max_size=8)
# What is made once and never applied: what matters of it is its data.
MADE_ONCE = {identity.hosts_name(ONE_SHARD), identity.passwords_name(ONE_SHARD)}
SOME_APPLIED = st.sets(st.sampled_from([key for key in sorted(READY.objects) if key.name not in MADE_ONCE]), max_size=8)
# Of an earlier version of the spec, or of the operator: ours, and wanted by nothing.
STRAYS = st.sets(
    st.sampled_from([ObjectKey(kind, f"chat-{name}") for kind in ("ConfigMap", "Service") for name in ("old", "older")])
)


SENTINELS = st.lists(SENTINEL_STATES, min_size=3, max_size=3)
SERVERS = st.lists(SERVER_STATES, min_size=3, max_size=3)


def disturb(
    cluster: SimulatedCluster, servers: list[dict[str, Any]], sentinels: list[dict[str, Any]], shard: int = 0
) -> None:
    """Put the servers of a shard, and what the Sentinels know of it, into any state."""
    names = servers_of(cluster, shard)
    addresses: list[Address] = [a for a in (cluster.address(name) for name in names) if a is not None]
    for name, state in zip(names, servers, strict=True):
        server, role = cluster.servers[name], state["role"]
        if role == "gone":
            del cluster.servers[name], cluster.pods[name]
            continue
        server.role = Role.PRIMARY if role == "primary" else Role.REPLICA
        server.follows = None if role == "primary" else PARKED if role == "parked" else addresses[int(role[-1])]
        server.keys, server.offset, server.history = state["keys"], state["offset"], state["history"]
        server.document = server.document if server.keys else None
        server.silent_until = cluster.now + state["silent"]
    master = identity.master_name(cluster.target, shard)
    for name, state in zip(sorted(cluster.sentinels), sentinels, strict=True):
        knows, sentinel = state["knows"], cluster.sentinels[name]
        sentinel.knows.pop(master, None)
        if knows != "nothing":
            sentinel.knows[master] = addresses[knows]
        sentinel.silent_until = cluster.now + state["silent"]


def servers_of(cluster: SimulatedCluster, shard: int) -> list[str]:
    prefix = f"{identity.shard_name(cluster.target, shard)}-"
    return sorted(name for name in cluster.servers if name.startswith(prefix))


def assert_at_rest(cluster: SimulatedCluster) -> None:
    """Each shard has one primary, which all Sentinels know, and nothing is left to be done."""
    for number, shard in enumerate(cluster.snapshot().shards):
        names = servers_of(cluster, number)
        primaries = [name for name in names if cluster.servers[name].role is Role.PRIMARY]
        assert len(primaries) == 1
        known = {sentinel.knows[shard.master_name] for sentinel in cluster.sentinels.values()}
        assert known == {cluster.address(primaries[0])}
    assert decide(cluster.target, cluster.snapshot()).actions == ()


@settings(UNHURRIED, max_examples=50)
@given(servers=SERVERS, sentinels=SENTINELS, lost=SOME_OBJECTS, edited=SOME_APPLIED, strays=STRAYS)
def test_it_converges_from_any_state(
    servers: list[dict[str, Any]],
    sentinels: list[dict[str, Any]],
    lost: set[ObjectKey],
    edited: set[ObjectKey],
    strays: set[ObjectKey],
) -> None:
    cluster = copy.deepcopy(READY)
    disturb(cluster, servers, sentinels)
    for key in strays:
        cluster.objects[key] = stray(cluster, key)
    for key in edited:
        cluster.objects[key]["metadata"]["labels"][identity.COMPONENT_LABEL] = "mine"
    for key in lost:
        del cluster.objects[key]
    cluster.run(400)
    assert_at_rest(cluster)
    assert not strays & set(cluster.objects)
    assert {key: component(cluster, key) for key in edited} == {key: component(READY, key) for key in edited}


def stray(cluster: SimulatedCluster, key: ObjectKey) -> dict[str, Any]:
    """An object that the resource owns and that nothing wants any more."""
    like = next(seen for other, seen in cluster.objects.items() if other.kind == key.kind)
    metadata = {**copy.deepcopy(like["metadata"]), "name": key.name, "uid": f"uid of {key.name}"}
    return {**copy.deepcopy(like), "metadata": metadata}


def component(cluster: SimulatedCluster, key: ObjectKey) -> str:
    found: str = cluster.objects[key]["metadata"]["labels"][identity.COMPONENT_LABEL]
    return found


@settings(UNHURRIED, max_examples=15)
@given(
    servers=st.tuples(SERVERS, SERVERS),
    sentinels=st.tuples(SENTINELS, SENTINELS),
    lost=st.sets(st.sampled_from(sorted(READY_TWO.objects)), max_size=8),
    shards=st.integers(1, 3),
)
def test_it_converges_from_any_state_of_two_shards_while_their_number_changes(
    servers: tuple[list[dict[str, Any]], ...],
    sentinels: tuple[list[dict[str, Any]], ...],
    lost: set[ObjectKey],
    shards: int,
) -> None:
    cluster = copy.deepcopy(READY_TWO)
    for shard in (0, 1):
        disturb(cluster, servers[shard], sentinels[shard], shard)
    for key in lost:
        del cluster.objects[key]
    change(cluster, {"redis": {"managed": {"shards": shards}}})
    cluster.run(800)
    assert len(cluster.snapshot().shards) == len(hosts_of(cluster).shards) == shards
    assert_at_rest(cluster)


@settings(UNHURRIED, max_examples=25)
@given(
    servers=st.lists(
        SERVER_STATES.filter(lambda s: s["role"] == "parked" or s["role"].startswith("replica")), min_size=3, max_size=3
    ),
    silent=st.lists(st.sampled_from([0, 4, 90]), min_size=3, max_size=3),
)
def test_data_that_any_server_has_is_kept_when_no_sentinel_remembers(
    servers: list[dict[str, Any]], silent: list[int]
) -> None:
    cluster = copy.deepcopy(READY)
    for state, seconds in zip(servers, silent, strict=True):
        state["silent"] = seconds
    disturb(cluster, servers, [{"knows": "nothing", "silent": 0}] * 3)
    had_data = any(state["keys"] for state in servers)
    held = {server.history for server in cluster.servers.values() if server.keys}
    cluster.run(400)
    (primary,) = [server for server in cluster.servers.values() if server.role is Role.PRIMARY]
    assert not had_data or primary.history in held
