"""One RealtimeGateway on a cluster as lines for people. Pure: the API's objects in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COMPONENT_LABEL = "app.kubernetes.io/component"
WORKER_LABEL = "realtime-gateway.io/worker"
GATEWAY, WORKER, REDIS, SENTINEL, CACHE = "gateway", "worker", "redis", "sentinel", "cache"
# In the order in which people ask: does it work, and why not, and what is going on.
FIRST_CONDITIONS = ("Ready", "RedisHealthy", "HostsSynced", "Progressing", "Degraded", "Paused")
GOOD_WHEN_FALSE = {"Degraded", "Paused"}
# Neither of its two answers is bad news.
NEUTRAL = {"Progressing"}
LONGEST_TROUBLE = 160


@dataclass(frozen=True)
class Process:
    """What a gateway process says of itself on its admin port."""

    phase: str
    epoch: int
    connections: int


@dataclass(frozen=True)
class Pod:
    """One pod.

    Attributes:
        owner: the name of the Deployment or StatefulSet that it belongs to.
        trouble: why it does not run, in Kubernetes' words; empty when it does.
    """

    name: str
    owner: str
    component: str
    ready: bool
    deleting: bool
    trouble: str


@dataclass(frozen=True)
class Workload:
    """A Deployment or a StatefulSet.

    Attributes:
        title: what people call it: a worker's name in the spec, else the object's name.
    """

    name: str
    title: str
    component: str
    ready: int
    wanted: int


@dataclass(frozen=True)
class Facts:
    """Everything that the tree shows.

    Attributes:
        resource: the RealtimeGateway as the API server has it.
        addresses: the name of the Service that has an address, by address.
        processes: by pod; a text says why a pod could not be asked.
    """

    resource: Mapping[str, Any]
    workloads: Sequence[Workload] = ()
    pods: Sequence[Pod] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    processes: Mapping[str, Process | str] = field(default_factory=dict)

    @property
    def status(self) -> Mapping[str, Any]:
        """The resource's status, empty while nobody has written one."""
        found: Mapping[str, Any] = self.resource.get("status") or {}
        return found

    def of(self, component: str) -> list[Workload]:
        """The workloads of a component, by name."""
        return sorted((one for one in self.workloads if one.component == component), key=lambda one: one.name)

    def pods_of(self, workload: Workload) -> list[Pod]:
        """The pods of a workload, by name."""
        return sorted((one for one in self.pods if one.owner == workload.name), key=lambda one: one.name)


def facts_of(resource: Mapping[str, Any], objects: Iterable[Mapping[str, Any]]) -> Facts:
    """Pick what matters from the API's objects."""
    workloads, pods, addresses = [], [], {}
    for seen in objects:
        match seen["kind"]:
            case "Pod":
                pods.append(_pod(seen))
            case "Service":
                addresses[seen["spec"].get("clusterIP", "")] = seen["metadata"]["name"]
            case _:
                workloads.append(_workload(seen))
    return Facts(resource, tuple(workloads), tuple(pods), addresses)


def is_ready(resource: Mapping[str, Any]) -> bool:
    """Whether everything serves, as far as the operator has seen the present spec."""
    return _is_current(resource) and any(
        entry["type"] == "Ready" and entry["status"] == "True" for entry in _conditions(resource)
    )


def lines(facts: Facts) -> Iterator[str]:
    """The tree."""
    yield from _head(facts)
    yield from _section("Conditions", _condition_lines(facts))
    yield from _section("Shards", _shard_lines(facts))
    yield from _section("Gateway pods", _gateway_lines(facts))
    yield from _section("Workers", _workload_lines(facts, facts.of(WORKER)))
    yield from _section("Cache", _workload_lines(facts, facts.of(CACHE)))


def _head(facts: Facts) -> Iterator[str]:
    metadata, status = facts.resource["metadata"], facts.status
    yield f"{metadata['name']} in namespace {metadata['namespace']}: {status.get('phase', 'not looked at yet')}"
    told = [status["url"]] if "url" in status else []
    told += [f"{status['connections']} connections"] if "connections" in status else []
    told += [f"epoch {hosts['epoch']} of the host list"] if (hosts := status.get("hosts")) else []
    if told:
        yield ", ".join(told)
    if not status:
        yield "No operator has looked at this resource yet: does one run, and does it serve this namespace?"
    elif not _is_current(facts.resource):
        seen, written = status.get("observedGeneration", 0), metadata.get("generation", 0)
        yield f"The operator has seen generation {seen} of the spec, and the present one is {written}: this is older."


def _is_current(resource: Mapping[str, Any]) -> bool:
    seen = (resource.get("status") or {}).get("observedGeneration", 0)
    return bool(seen >= resource["metadata"].get("generation", 0))


def _conditions(resource: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = (resource.get("status") or {}).get("conditions", [])
    order = {name: place for place, name in enumerate(FIRST_CONDITIONS)}
    return sorted(found, key=lambda entry: (order.get(entry["type"], len(order)), entry["type"]))


def _condition_lines(facts: Facts) -> Iterator[str]:
    found = _conditions(facts.resource)
    widths = [max((len(str(entry[key])) for entry in found), default=0) for key in ("type", "status", "reason")]
    for entry in found:
        mark = "!" if _is_bad(entry) else " "
        words = (str(entry[key]).ljust(width) for key, width in zip(("type", "status", "reason"), widths, strict=True))
        yield f"{mark} {'  '.join(words)}  {entry['message']}"


def _is_bad(condition: Mapping[str, Any]) -> bool:
    kind, status = condition["type"], condition["status"]
    return kind not in NEUTRAL and bool(status == ("True" if kind in GOOD_WHEN_FALSE else "False"))


def _shard_lines(facts: Facts) -> Iterator[str]:
    for shard in facts.status.get("shards", ()):
        host = str(shard.get("primary", "")).rpartition(":")[0]
        primary = facts.addresses.get(host, shard.get("primary", ""))
        health = "healthy" if shard.get("healthy") else "not healthy"
        led = f"primary {primary}" if primary else "no primary"
        followed = f"{_count(shard.get('replicas', 0), 'replica')} attached"
        yield f"{shard['name']}: {health}, {led}, {followed}, {_count(shard.get('sentinels', 0), 'Sentinel')} watching"
        owners = [one for one in facts.of(REDIS) if one.name == shard["name"]]
        pods = [pod for owner in owners for pod in facts.pods_of(owner)]
        yield from _branches(f"{pod.name}: {_state(pod)}{_role(pod, primary)}" for pod in pods)
    yield from _workload_lines(facts, facts.of(SENTINEL))


def _role(pod: Pod, primary: str) -> str:
    if not primary:
        return ""
    return ", primary" if pod.name == primary else ", replica"


def _gateway_lines(facts: Facts) -> Iterator[str]:
    for workload in facts.of(GATEWAY):
        yield f"{workload.title}: {workload.ready} of {workload.wanted} ready"
        yield from _branches(f"{pod.name}: {_state(pod)}{_process(facts, pod)}" for pod in facts.pods_of(workload))


def _process(facts: Facts, pod: Pod) -> str:
    match facts.processes.get(pod.name):
        case Process(phase, epoch, connections):
            drains = f", {phase}" if phase != "serving" else ""
            # A process connects to Redis when its first consumer asks it to.
            layer = f"epoch {epoch}" if epoch else "layer not used yet"
            return f"{drains}, {layer}, {_count(connections, 'connection')}"
        case str(reason):
            return f", not asked: {reason}"
        case _:
            return ""


def _workload_lines(facts: Facts, workloads: Iterable[Workload]) -> Iterator[str]:
    """Workloads in a line each; of their pods only those that are not in order."""
    for workload in workloads:
        yield f"{workload.title}: {workload.ready} of {workload.wanted} ready"
        odd = (pod for pod in facts.pods_of(workload) if not pod.ready or pod.deleting)
        yield from _branches(f"{pod.name}: {_state(pod)}" for pod in odd)


def _state(pod: Pod) -> str:
    if pod.deleting:
        return "ending"
    return "ready" if pod.ready else f"not ready{': ' if pod.trouble else ''}{pod.trouble}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _section(title: str, content: Iterable[str]) -> Iterator[str]:
    found = list(content)
    if found:
        yield ""
        yield title
        yield from (f"  {line}" for line in found)


def _branches(entries: Iterable[str]) -> Iterator[str]:
    found = list(entries)
    for entry in found[:-1]:
        yield f"├─ {entry}"
    for entry in found[-1:]:
        yield f"└─ {entry}"


def _workload(seen: Mapping[str, Any]) -> Workload:
    metadata, status = seen["metadata"], seen.get("status", {})
    labels = metadata.get("labels", {})
    return Workload(
        name=metadata["name"],
        title=labels.get(WORKER_LABEL) or metadata["name"],
        component=labels.get(COMPONENT_LABEL, ""),
        ready=status.get("readyReplicas", 0),
        wanted=seen["spec"].get("replicas", 1),
    )


def _pod(seen: Mapping[str, Any]) -> Pod:
    metadata, status = seen["metadata"], seen.get("status", {})
    labels = metadata.get("labels", {})
    conditions = {entry["type"]: entry for entry in status.get("conditions", ())}
    owners = [reference["name"] for reference in metadata.get("ownerReferences", ())]
    # A Deployment's pods belong to a ReplicaSet, which is named by the template's hash too.
    hashed = f"-{labels['pod-template-hash']}" if "pod-template-hash" in labels else ""
    return Pod(
        name=metadata["name"],
        owner=owners[0].removesuffix(hashed) if owners else "",
        component=labels.get(COMPONENT_LABEL, ""),
        ready=conditions.get("Ready", {}).get("status") == "True",
        deleting="deletionTimestamp" in metadata,
        trouble=_trouble(status, conditions),
    )


def _trouble(status: Mapping[str, Any], conditions: Mapping[str, Any]) -> str:
    """Why a pod does not run: what its container waits for, or why no node takes it."""
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return _short(waiting.get("reason", ""), waiting.get("message", ""))
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return _short(scheduled.get("reason", ""), scheduled.get("message", ""))
    return ""


def _short(reason: str, message: str) -> str:
    words = " ".join(message.split())
    text = f"{reason} ({words})" if words else reason
    return text if len(text) <= LONGEST_TROUBLE else f"{text[: LONGEST_TROUBLE - 1]}…"
