"""What runs now: the resource, its ports, the host list, the processes; changed by one at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.local.plan import Changes, Place, changes
from realtime_gateway.local.ports import find_ports
from realtime_gateway.local.process_group import ProcessGroup
from realtime_gateway.local.redis_plan import make_plan, names_with_a_port, running_shards, wanted_shards
from realtime_gateway.local.redis_questions import forget
from realtime_gateway.resource import RealtimeGateway


@dataclass(frozen=True)
class State:
    """Everything that decides what runs.

    Attributes:
        resource: as the file says it, as far as that can be followed.
        hosts: the host list.
        leaving: names of our shards that the resource does not ask for, and that may still be in use.
        ports: of every process that has one of its own.
    """

    resource: RealtimeGateway
    hosts: HostList
    leaving: frozenset[str]
    ports: dict[str, int]

    @property
    def wanted(self) -> tuple[Shard, ...]:
        """The shards that the resource asks for."""
        return wanted_shards(self.resource, self.ports)


class Present:
    """The state of a run, and the processes that follow from it.

    Args:
        group: what runs.
        resource: what it was started for.

    Attributes:
        state: frozen; another one when something has changed.
        lock: held by whoever changes it.
    """

    def __init__(self, group: ProcessGroup, resource: RealtimeGateway) -> None:
        self.group = group
        self.lock = asyncio.Lock()
        hosts = group.plan.hosts
        self.state = State(resource, hosts, frozenset(), dict(group.taken.ports))

    @property
    def place(self) -> Place:
        """Where it runs."""
        return self.group.taken.place

    async def become(self, resource: RealtimeGateway) -> Changes:
        """Run what another resource asks for; raises StartError as ``ProcessGroup.change`` does."""
        return await self._change(replace(self.state, resource=resource, leaving=self._may_be_in_use(resource)))

    def write_hosts(self, hosts: HostList) -> None:
        """Make this the host list of the run: every process reads it in the run's file."""
        self.group.taken.directory.write(self.place.hosts_file, hosts.to_json())
        self.state = replace(self.state, hosts=hosts, leaving=self._may_be_in_use(self.state.resource, hosts))
        self.group.plan = replace(self.group.plan, hosts=hosts)

    async def end_unused(self) -> tuple[str, ...]:
        """End the shards that no list names and nobody wants; return their names."""
        before = running_shards(self.state.resource, self.state.leaving)
        await self._change(replace(self.state, leaving=frozenset()))
        return tuple(sorted(set(before) - set(running_shards(self.state.resource))))

    def _may_be_in_use(self, resource: RealtimeGateway, hosts: HostList | None = None) -> frozenset[str]:
        """Our shards that any list names which a process may still use, but for those that are wanted."""
        if resource.spec.redis.managed is None:
            return frozenset()
        named = {shard.name for shard in (hosts or self.state.hosts).every_shard}
        return (self.state.leaving | named) - set(running_shards(resource))

    async def _change(self, state: State) -> Changes:
        before = set(running_shards(self.state.resource, self.state.leaving))
        ports = find_ports(names_with_a_port(state.resource, state.leaving), self.state.ports, self.place.directory)
        plan = make_plan(state.resource, self.place, ports, state.hosts, state.leaving)
        for shard in before - set(running_shards(state.resource, state.leaving)):
            await asyncio.gather(*(forget(port, shard) for port in self.group.plan.sentinel_ports))
        steps = changes(self.group.plan, plan)
        await self.group.change(plan, steps)
        self.state = replace(state, ports=ports)
        return steps
