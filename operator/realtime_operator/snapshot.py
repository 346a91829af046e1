"""What one look at the cluster and at Redis saw: frozen, without I/O, and honest about what it could not see.

Three things are kept apart everywhere: a value (it was seen), ``None`` (it was looked for and is not there) and
``Unknown`` (nobody could tell). Deciding on something Unknown is how data gets lost, so it is a type of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from realtime_gateway.hosts import HostList

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Unknown:
    """Nobody could tell, and why.

    Attributes:
        tls_failed: whether it was asked, and the encryption of the connection has failed.
    """

    why: str
    tls_failed: bool = False


class Address(NamedTuple):
    """An announced address of a Redis server or a Sentinel: the ClusterIP of its own Service, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


# A server that may not start by itself follows this address, where nobody listens, until it is told whom to follow.
PARKED = Address("127.0.0.1", 1)
# Volumes are provisioned, nodes are freed and pods are made within this time, or somebody should look.
PATIENCE_SECONDS = 15.0
# A kubelet that cannot mount something has said so by then.
CREATING_SECONDS = 5.0


class Role(Enum):
    """What a Redis server says it is."""

    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(frozen=True)
class Attached:
    """A replica as its primary sees it."""

    address: Address
    offset: int


@dataclass(frozen=True)
class Server:
    """One Redis server that answered.

    Attributes:
        replication_id: the history its offset counts in; servers of one history share it.
        offset: how far it has come in that history, in bytes.
        keys: how many keys it holds; 0 is an empty server, whatever its offset.
        follows: a replica's primary; None for a primary.
        link_up: whether a replica is in step with its primary.
        attached: a primary's replicas that are online.
    """

    role: Role
    run_id: str
    replication_id: str
    offset: int
    keys: int
    follows: Address | None = None
    link_up: bool = False
    attached: tuple[Attached, ...] = ()

    @property
    def parked(self) -> bool:
        """Whether it waits to be told whom to follow."""
        return self.role is Role.REPLICA and self.follows == PARKED

    @property
    def empty(self) -> bool:
        """Whether there is nothing on it that could be lost."""
        return self.keys == 0


# A pod's trouble for which Kubernetes has no word: the scheduler waits for its volumes, and says nothing meanwhile.
WAITING_FOR_VOLUME = "WaitingForVolume"
# Troubles of a container that ends, or cannot even begin.
_CRASHED = {"CrashLoopBackOff", "RunContainerError", "CreateContainerError", "CreateContainerConfigError", "Error"}


@dataclass(frozen=True)
class Pod:
    """What matters of a pod.

    Attributes:
        revision: the controller revision or template hash it was made from.
        trouble: why its containers do not run, in Kubernetes' words (ImagePullBackOff, CrashLoopBackOff, …).
        creating: whether its kubelet still makes what containers start in: volumes and network. Not: pulls an image.
    """

    name: str
    uid: str
    ready: bool
    deleting: bool = False
    revision: str = ""
    trouble: str = ""
    message: str = ""
    creating: bool = False

    @property
    def crashes(self) -> bool:
        """Whether its container ends again and again."""
        return self.trouble in _CRASHED


@dataclass(frozen=True)
class Member:
    """One place in a shard: a pod that should run a Redis server, the address announced for it, and what answers there.

    Attributes:
        address: None until its Service has an address.
        server: None when there is no pod that could answer.
    """

    ordinal: int
    address: Address | None
    pod: Pod | None
    server: Server | Unknown | None


@dataclass(frozen=True)
class Monitored:
    """What one Sentinel says of one shard."""

    primary: Address
    objectively_down: bool = False
    failover_in_progress: bool = False


@dataclass(frozen=True)
class Sentinel:
    """One Sentinel: what it says of each master name. A name it was not told of is not in the mapping."""

    ordinal: int
    address: Address | None
    pod: Pod | None
    answers: Mapping[str, Monitored] | Unknown


@dataclass(frozen=True)
class Shard:
    """The members of one shard, by ordinal, and the host list stored on it."""

    index: int
    name: str
    master_name: str
    members: tuple[Member, ...]
    document: HostList | Unknown | None = None


@dataclass(frozen=True)
class Process:
    """What a process of the data plane reports of itself on the shards.

    Attributes:
        name: what people call it, such as its pod's name.
        id: tells it apart from every other process; empty where the name does.
        expiry_seconds: how long its messages live, which its own settings may say.
        auth_stack: that its application uses; empty when its application was not built by ``gateway_application``, None
            when it does not say.
    """

    name: str
    epoch: int
    connections: int = 0
    id: str = ""
    expiry_seconds: float = 0.0
    auth_stack: str | None = None


@dataclass(frozen=True)
class Fleet:
    """What is known of the processes that read and write the shards."""

    processes: tuple[Process, ...] = ()

    @property
    def connections(self) -> int:
        """Client sockets open in all processes."""
        return sum(process.connections for process in self.processes)

    def behind(self, epoch: int) -> tuple[Process, ...]:
        """Processes that do not use this epoch yet."""
        return tuple(process for process in self.processes if process.epoch < epoch)


class ObjectKey(NamedTuple):
    """Which object: its kind and its name; the namespace is always the resource's own."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Snapshot:
    """Everything that a pass decides on.

    Attributes:
        objects: the objects that the resource owns, as the API server returned them.
        shards: every shard that has a StatefulSet or should have one, by index.
        hosts: the durable host list in the ConfigMap; None when there is none, Unknown when it cannot be read.
        status_epoch: the greatest epoch that the resource's status has named.
        held_seconds: for facts that an earlier pass named in ``Plan.facts``: how long each has held without a break.
        tls_trouble: what is wrong with the Secret of Redis's certificates, in a sentence; empty when nothing is.
        failed_mounts: what kubelets cannot mount, by the name of the pod that waits for it.
        refused_pods: StatefulSets whose controller is refused pods, and what it was answered last.
    """

    objects: Mapping[ObjectKey, Manifest] = field(default_factory=dict, repr=False)
    pods: tuple[tuple[str, Pod], ...] = ()
    shards: tuple[Shard, ...] = ()
    sentinels: tuple[Sentinel, ...] = ()
    hosts: HostList | Unknown | None = None
    status_epoch: int = 0
    fleet: Fleet | Unknown = Fleet()
    held_seconds: Mapping[str, float] = field(default_factory=dict)
    tls_trouble: str = ""
    refused_pods: Mapping[ObjectKey, str] = field(default_factory=dict)
    failed_mounts: Mapping[str, str] = field(default_factory=dict)

    def pods_of(self, component: str) -> tuple[Pod, ...]:
        """Pods of one component, by its label."""
        return tuple(pod for name, pod in self.pods if name == component)

    def short_of_pods(self) -> Iterator[tuple[ObjectKey, int, int]]:
        """StatefulSets whose controller has made fewer pods than it knows that it should: how many, and of how many."""
        for key, seen in sorted(self.objects.items()):
            status = seen.get("status", {})
            if key.kind == "StatefulSet" and status.get("observedGeneration") == seen["metadata"].get("generation"):
                made, wanted = status.get("replicas", 0), seen["spec"]["replicas"]
                if made < wanted:
                    yield key, made, wanted

    def held(self, fact: str) -> float:
        """How long a fact has held, in seconds; 0 when it was not seen in the pass before."""
        return self.held_seconds.get(fact, 0.0)


def being_created(pod: Pod) -> str:
    """The fact that a pod's volumes and network are still in the making."""
    return f"pod {pod.name} ({pod.uid}) is being created"


def too_few_pods(key: ObjectKey) -> str:
    """The fact that a controller has made too few pods."""
    return f"{key} has too few pods"
