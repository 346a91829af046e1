"""A cluster, its Redis servers and its Sentinels as a few dicts and one clock, to run the operator's decisions against.

It does what Kubernetes, Redis, the start script and Sentinel do as far as the operator's decisions can tell, in steps
of one second. What is not here is not decided on: networks, images, probes.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import HostList
from realtime_operator.decide.checklist import decide
from realtime_operator.decide.wanted import live_shards
from realtime_operator.objects import host_list, identity
from realtime_operator.objects.pods import digest
from realtime_operator.plan import (
    Action,
    AnnounceHosts,
    Apply,
    CreatePasswords,
    Delete,
    Evict,
    Follow,
    Forget,
    MintHosts,
    Monitor,
    Plan,
    Promote,
    RemoveForeign,
    SwitchOver,
)
from realtime_operator.sentinel_terms import quorum
from realtime_operator.snapshot import (
    PARKED,
    Address,
    Attached,
    Fleet,
    Member,
    Monitored,
    ObjectKey,
    Pod,
    Process,
    Role,
    Sentinel,
    Server,
    Shard,
    Snapshot,
    Unknown,
)
from realtime_operator.target import Target

SENTINEL_PATIENCE = 3


@dataclass
class SimulatedServer:
    role: Role = Role.REPLICA
    follows: Address | None = PARKED
    keys: int = 0
    offset: int = 0
    history: str = ""
    silent_until: float = 0
    document: HostList | None = None


@dataclass
class SimulatedSentinel:
    knows: dict[str, Address] = field(default_factory=dict)
    silent_until: float = 0
    down_since: dict[str, float] = field(default_factory=dict)


class SimulatedCluster:
    """Everything outside the operator."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.now = 1000.0
        self.objects: dict[ObjectKey, dict[str, Any]] = {}
        self.pods: dict[str, str] = {}  # name → revision
        self.servers: dict[str, SimulatedServer] = {}
        self.sentinels: dict[str, SimulatedSentinel] = {}
        self.processes: dict[str, int] = {}
        self.status_epoch = 0
        self.since: dict[str, float] = {}
        self._version = 0

    # Passes of the operator

    def run(self, passes: int) -> Plan:
        """Pass and step in turn until a pass has nothing to do and waits for nothing, and return that plan."""
        plan, quiet = Plan(), 0
        for _ in range(passes):
            plan = self.run_pass()
            quiet = 0 if plan.actions else quiet + 1
            if not plan.actions and not plan.facts and plan.look_again_seconds is None and self.settled():
                return plan
            # Nothing happens for a while: go faster, in steps that are still shorter than anything waits.
            self.step(4.0 if quiet > 5 else 1.0)
        raise AssertionError(f"still not settled: {plan}")

    def run_pass(self) -> Plan:
        plan = decide(self.target, self.snapshot())
        self.since = {fact: self.since.get(fact, self.now) for fact in plan.facts}
        self.objects = {key: dict(seen) for key, seen in self.objects.items()}
        for action in plan.actions:
            self.perform(action)
        if isinstance(seen := self._hosts(), HostList):
            self.status_epoch = max(self.status_epoch, seen.epoch)
        return plan

    def settled(self) -> bool:
        silent = [*self.servers.values(), *self.sentinels.values()]
        return all(one.silent_until <= self.now for one in silent)

    # What the operator sees

    def snapshot(self) -> Snapshot:
        return Snapshot(
            objects=dict(self.objects),
            shards=tuple(self._shard(index) for index in self._shard_indices()),
            sentinels=tuple(self._sentinel(ordinal) for ordinal in range(self._redis().sentinels)),
            hosts=self._hosts(),
            status_epoch=self.status_epoch,
            fleet=Fleet(tuple(Process(name, epoch) for name, epoch in sorted(self.processes.items()))),
            held_seconds={fact: self.now - since for fact, since in self.since.items()},
        )

    def _redis(self) -> Any:
        return self.target.spec.redis.managed

    def _hosts(self) -> HostList | Unknown | None:
        seen = self.objects.get(ObjectKey("ConfigMap", identity.hosts_name(self.target)))
        if seen is None:
            return None
        try:
            return HostList.from_json(seen["data"].get(host_list.KEY, ""), "the ConfigMap")
        except HostListInvalid as error:
            return Unknown(str(error))

    def _shard_indices(self) -> tuple[int, ...]:
        partial = Snapshot(hosts=self._hosts())
        sets = {key.name for key in self.objects if key.kind == "StatefulSet"}
        present = {index for index in range(8) if identity.shard_name(self.target, index) in sets}
        return tuple(sorted(present | set(live_shards(self.target, partial))))

    def address(self, name: str) -> Address | None:
        seen = self.objects.get(ObjectKey("Service", name))
        return None if seen is None else Address(seen["spec"]["clusterIP"], seen["spec"]["ports"][0]["port"])

    def _shard(self, index: int) -> Shard:
        members = tuple(self._member(index, ordinal) for ordinal in range(self._redis().replicas + 1))
        documents = [s.document for s in self._of_shard(index).values() if s.role is Role.PRIMARY and self._up(s)]
        name, master = identity.shard_name(self.target, index), identity.master_name(self.target, index)
        return Shard(index, name, master, members, documents[0] if documents else Unknown("no primary"))

    def _of_shard(self, index: int) -> dict[Address, SimulatedServer]:
        found = {}
        for ordinal in range(self._redis().replicas + 1):
            name = identity.server_name(self.target, index, ordinal)
            address = self.address(name)
            if address is not None and name in self.servers:
                found[address] = self.servers[name]
        return found

    def _up(self, one: SimulatedServer | SimulatedSentinel) -> bool:
        return one.silent_until <= self.now

    def _member(self, index: int, ordinal: int) -> Member:
        name = identity.server_name(self.target, index, ordinal)
        address, server = self.address(name), self.servers.get(name)
        if server is None:
            return Member(ordinal, address, None, None)
        pod = Pod(name, f"uid-{name}", self._up(server), revision=self.pods.get(name, ""))
        if not self._up(server) or address is None:
            return Member(ordinal, address, pod, Unknown("no answer"))
        return Member(ordinal, address, pod, self._seen(server, self._of_shard(index), address))

    def _seen(self, server: SimulatedServer, shard: Mapping[Address, SimulatedServer], own: Address) -> Server:
        attached = tuple(
            Attached(address, other.offset)
            for address, other in shard.items()
            if server.role is Role.PRIMARY and other.role is Role.REPLICA and other.follows == own and self._up(other)
        )
        primary = shard.get(server.follows) if server.follows is not None else None
        up = primary is not None and primary.role is Role.PRIMARY and self._up(primary)
        follows = server.follows if server.role is Role.REPLICA else None
        return Server(server.role, "run", server.history, server.offset, server.keys, follows, up, attached)

    def _sentinel(self, ordinal: int) -> Sentinel:
        name = identity.sentinel_name(self.target, ordinal)
        address, sentinel = self.address(name), self.sentinels.get(name)
        if sentinel is None or address is None or not self._up(sentinel):
            return Sentinel(ordinal, address, None, Unknown("no answer"))
        pod = Pod(name, f"uid-{name}", ready=True, revision=self.pods.get(name, ""))
        return Sentinel(ordinal, address, pod, {m: Monitored(primary) for m, primary in sentinel.knows.items()})

    # What the operator does

    def perform(self, action: Action) -> None:  # noqa: C901 - one arm per action
        match action:
            case Apply(manifest):
                self.put(copy.deepcopy(dict(manifest)))
            case CreatePasswords(manifest, keys):
                self.put({**copy.deepcopy(dict(manifest)), "data": dict.fromkeys(keys, "cGFzcw==")})
            case Delete(key, uid):
                assert self.objects[key]["metadata"]["uid"] == uid
                del self.objects[key]
            case MintHosts(made, manifest, version):
                self._mint(made, copy.deepcopy(dict(manifest)), version)
            case AnnounceHosts(hosts, shard, primary):
                self._announce(hosts, shard, primary)
            case Promote(_, address):
                server = self._at(address)
                server.role, server.follows = Role.PRIMARY, None
                server.history = server.history or f"h-{address}"
            case Follow(_, address, primary):
                server = self._at(address)
                server.role, server.follows = Role.REPLICA, primary
            case Monitor(_, address, master, primary, _, anew):
                sentinel = self._sentinel_at(address)
                assert anew == (master in sentinel.knows), "a Sentinel refuses to monitor a name twice"
                sentinel.knows[master] = primary
            case Forget(address, master):
                del self._sentinel_at(address).knows[master]
            case Evict(pod, _):
                self.servers.pop(pod, None)
                self.sentinels.pop(pod, None)
                del self.pods[pod]
            case SwitchOver(_, master, primary, _):
                self.fail_over(master, primary)
            case RemoveForeign(key, _):
                del self.objects[key]["metadata"]["managedFields"]

    def put(self, manifest: dict[str, Any]) -> None:
        """Apply an object, as far as replacing it whole is applying."""
        key = ObjectKey(manifest["kind"], manifest["metadata"]["name"])
        seen = self.objects.get(key)
        self._version += 1
        uid = seen["metadata"]["uid"] if seen else f"uid-{self._version}"
        manifest["metadata"].update(uid=uid, resourceVersion=str(self._version), generation=self._version)
        if key.kind == "Service" and "clusterIP" not in manifest["spec"]:
            manifest["spec"]["clusterIP"] = f"10.1.{self._version // 250}.{self._version % 250}"
        self.objects[key] = manifest

    def _mint(self, made: HostList, manifest: dict[str, Any], version: str | None) -> None:
        key = ObjectKey("ConfigMap", manifest["metadata"]["name"])
        seen = self.objects.get(key)
        assert version == (seen["metadata"]["resourceVersion"] if seen else None)
        before = self._hosts()
        assert not isinstance(before, HostList) or made.epoch > before.epoch, "an epoch is never made twice"
        self.put(manifest)

    def _announce(self, hosts: HostList, shard: str, primary: Address) -> None:
        server = self._at(primary)
        if server.document is None or server.document.epoch < hosts.epoch:
            server.document = hosts
            server.keys += 1

    def _at(self, address: Address) -> SimulatedServer:
        name = next(name for name in self.servers if self.address(name) == address)
        assert self._up(self.servers[name]), "told a server that does not answer"
        return self.servers[name]

    def _sentinel_at(self, address: Address) -> SimulatedSentinel:
        return next(sentinel for name, sentinel in self.sentinels.items() if self.address(name) == address)

    # What happens by itself in a second

    def step(self, seconds: float = 1.0) -> None:
        self.now += seconds
        self._make_pods()
        self._replicate()
        for master in {master for sentinel in self.sentinels.values() for master in sentinel.knows}:
            self._watch(master)
        self._adopt()

    def _make_pods(self) -> None:
        for key, seen in self.objects.items():
            if key.kind != "StatefulSet":
                continue
            revision = digest(seen["spec"]["template"])
            seen["status"] = {
                "observedGeneration": seen["metadata"]["generation"],
                "updateRevision": revision,
                "replicas": seen["spec"]["replicas"],
            }
            for ordinal in range(seen["spec"]["replicas"]):
                name = f"{key.name}-{ordinal}"
                if name in self.pods:
                    continue
                self.pods[name] = revision
                if key.name == identity.sentinel_set(self.target):
                    self.sentinels[name] = SimulatedSentinel()
                else:
                    self.servers[name] = self._started(key.name, self.address(name))
        for name in [
            name for name in self.pods if ObjectKey("StatefulSet", name.rpartition("-")[0]) not in self.objects
        ]:
            del self.pods[name]
            self.servers.pop(name, None)
            self.sentinels.pop(name, None)

    def _started(self, shard: str, own: Address | None) -> SimulatedServer:
        """A new server, by the rule of the start script: it has no data."""
        index = int(shard.rpartition("-")[2])
        master = identity.master_name(self.target, index)
        votes = Counter(s.knows[master] for s in self.sentinels.values() if self._up(s) and master in s.knows)
        named, count = votes.most_common(1)[0] if votes else (None, 0)
        if named is None or count < quorum(self._redis().sentinels):
            return SimulatedServer()
        if named == own:
            assert own is not None
            self.fail_over(master, own)
            now_named = next(s.knows[master] for s in self.sentinels.values() if master in s.knows)
            return SimulatedServer(follows=PARKED if now_named == own else now_named)
        return SimulatedServer(follows=named)

    def _replicate(self) -> None:
        for index in self._shard_indices():
            shard = self._of_shard(index)
            for server in shard.values():
                primary = shard.get(server.follows) if server.follows is not None else None
                if primary is None or not self._up(server) or not self._up(primary):
                    continue
                if server.role is Role.REPLICA and primary.role is Role.PRIMARY:
                    server.keys, server.document = primary.keys, primary.document
                    server.history, server.offset = primary.history, primary.offset

    def _watch(self, master: str) -> None:
        """Sentinels that agree on a primary which is away for long enough make another one."""
        knowing = [s for s in self.sentinels.values() if self._up(s) and master in s.knows]
        votes = Counter(sentinel.knows[master] for sentinel in knowing)
        named, count = votes.most_common(1)[0] if votes else (None, 0)
        if named is None or count < quorum(self._redis().sentinels):
            return
        shard = self._of_shard(self._index(master))
        server = shard.get(named)
        alive = server is not None and self._up(server) and server.role is Role.PRIMARY
        for sentinel in knowing:
            if alive:
                sentinel.down_since.pop(master, None)
            elif self.now - sentinel.down_since.setdefault(master, self.now) >= SENTINEL_PATIENCE:
                self.fail_over(master, named)

    def fail_over(self, master: str, named: Address) -> None:
        """Sentinel's failover: to the replica of the present primary that is furthest; none means nothing happens."""
        shard = self._of_shard(self._index(master))
        good = [a for a, s in shard.items() if s.follows == named and s.history and self._up(s) and a != named]
        if not good:
            return
        chosen = max(good, key=lambda address: shard[address].offset)
        shard[chosen].role, shard[chosen].follows = Role.PRIMARY, None
        for address, server in shard.items():
            if address != chosen and named in (server.follows, address):
                server.role, server.follows = Role.REPLICA, chosen
        for sentinel in self.sentinels.values():
            if master in sentinel.knows:
                sentinel.knows[master] = chosen

    def _index(self, master: str) -> int:
        return next(index for index in range(8) if identity.master_name(self.target, index) == master)

    def _adopt(self) -> None:
        """Processes learn of the newest list from any shard."""
        epochs = [s.document.epoch for s in self.servers.values() if s.document is not None and s.role is Role.PRIMARY]
        for name in self.processes:
            self.processes[name] = max([self.processes[name], *epochs])


def settled_cluster(target: Target) -> SimulatedCluster:
    """A cluster in which the resource is up."""
    cluster = SimulatedCluster(target)
    cluster.processes = {"chat-a": 0, "chat-b": 0}
    cluster.run(60)
    return cluster
