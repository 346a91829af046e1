"""Everything of one run: shards, network, processes, and the host list as its operator has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer.machine import events
from realtime_gateway.layer.machine.limits import Limits
from tests.simulation import lua
from tests.simulation.clock import Clock
from tests.simulation.network import Network
from tests.simulation.process import Parts, Process
from tests.simulation.record import Record
from tests.simulation.shard import Shard as SimulatedShard

# Everything is shorter than in production, in the same proportions, so that a run is short. What is allowed to go
# wrong stays within them: lag + detection + switchover is less than replay_seconds.
LIMITS = Limits(
    expiry_seconds=14,
    send_timeout_seconds=5,
    history_seconds=14,
    history_messages=1000,
    replay_seconds=6,
    capacity_of=lambda channel: 3 if channel.startswith("small") else 100,
)
_LAGS_SECONDS = (0.05, 0.3, 0.7)
SHARD_NAMES = ("s0", "s1", "s2", "s3")
PROCESS_NAMES = ("a", "b", "c")


def host_list(
    epoch: int, names: tuple[str, ...], weights: Mapping[str, float], earlier: tuple[HostList, ...] = ()
) -> HostList:
    """Return a list of shards by their names."""
    return HostList(epoch, tuple(Shard(name, weights[name], {"host": name}) for name in names), earlier)


class World:
    """One run's world at its beginning.

    Args:
        seed: decides everything.
        keep_log: whether each step is written down.
        limits: of every process.

    Attributes:
        plain: it begins with a list that no file or shard holds, only the code of each process.
        hosts: the newest list, and ``lists`` all that there were, each with when it became the newest.
    """

    def __init__(self, seed: int, keep_log: bool = False, limits: Limits = LIMITS) -> None:
        self.random = Random(seed)
        self.clock = Clock(self.random, keep_log)
        scripts = lua.real_scripts()
        self.shards = {
            name: SimulatedShard(
                self.clock,
                scripts,
                name,
                self.random.choice(_LAGS_SECONDS),
                self.random.choice(_LAGS_SECONDS) if self.random.random() < 0.4 else None,
            )
            for name in SHARD_NAMES
        }
        self.network = Network(self.clock, self.shards)
        self.record = Record(self.clock, LIMITS.expiry_seconds)
        loses_control = self.random.random() < 0.4
        for shard in self.shards.values():
            shard.loses_control = loses_control
            shard.lost = self.record.lost_with_server
        self.weights = dict.fromkeys(SHARD_NAMES, 1.0)
        if self.random.random() < 0.3:
            self.weights = {name: self.random.choice((0.5, 1.0, 1.0, 3.0)) for name in SHARD_NAMES}
        # A plain list of addresses, as most people begin with, has the epoch 0: no shard knows it.
        self.plain = self.random.random() < 0.3
        first = SHARD_NAMES[: self.random.choice((1, 2, 2, 2, 3))]
        self.hosts = host_list(0 if self.plain else 1, first, self.weights)
        self.lists: list[tuple[float, HostList]] = [(0.0, self.hosts)]
        self.processes: dict[str, Process] = {}
        self.ended: list[Process] = []
        self.crashed_at: dict[str, float] = {}  # process id → when
        self.born: list[Callable[[Process], None]] = []
        self._incarnations = dict.fromkeys(PROCESS_NAMES, 0)
        self._parts = Parts(self.clock, self.network, self.record, limits)

    def allot(self, hosts: HostList) -> None:
        """Let a list be the newest."""
        self.hosts = hosts
        self.lists.append((self.clock.now, hosts))

    def start_process(self, name: str, hosts: HostList | None = None) -> Process:
        """Start a process with the host list that its file has."""
        self._incarnations[name] += 1
        process = Process(self._parts, name, self._incarnations[name], hosts or self.hosts)
        self.processes[name] = process
        self.clock.note(process.id, "started", f"epoch {(hosts or self.hosts).epoch}")
        for act in self.born:
            act(process)
        return process

    def crash_process(self, name: str) -> None:
        """End a process without a word."""
        process = self.processes.pop(name, None)
        if process is not None:
            process.crash()
            self.crashed_at[process.id] = self.clock.now
            self.ended.append(process)

    def learn(self, name: str, hosts: HostList) -> None:
        """The mounted file of a process has changed."""
        process = self.processes.get(name)
        if process is not None and hosts.epoch > process.machine.epochs.hosts.epoch:
            process.submit(events.Learned(hosts, "the file"))

    def pairs(self, shard: str, processes: tuple[str, ...] = PROCESS_NAMES) -> list[tuple[str, str]]:
        """Every way between processes and the servers of a shard."""
        return [(name, server.name) for name in processes for server in self.shards[shard].servers()]
