"""Watching a run: who is a primary now, how many connections there are, and what the application prints."""

from __future__ import annotations

import asyncio
import time

from realtime_gateway.console.gateway_numbers import GatewayNumbers
from realtime_gateway.console.history import History
from realtime_gateway.local.admin_page import gateway_numbers
from realtime_gateway.local.child import Child, State
from realtime_gateway.local.console import Console, Row, Screen
from realtime_gateway.local.plan import GatewayAnswers, Kind, RedisAnswers, WorkerReports
from realtime_gateway.local.process_group import ProcessGroup
from realtime_gateway.local.redis_questions import known_primaries, reported_epochs

LOOK_SECONDS = 1.0
SHOWN_OUTPUT = {Kind.GATEWAY, Kind.WORKER}


class Watcher:
    """Looks once a second and shows what it has seen.

    Attributes:
        history: connections and rates of the last looks.

    Args:
        name: of the resource, which the processes' names begin with.
        group: what runs.
        console: where it is shown.
    """

    def __init__(self, name: str, group: ProcessGroup, console: Console) -> None:
        self._name = name
        self._group = group
        self._console = console
        self._primaries: dict[str, int] = {}
        self._numbers: dict[str, GatewayNumbers | None] = {}
        self._worker_epochs: dict[str, int] = {}
        self.history = History()

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self.show_output()
            await asyncio.gather(self._look_at_primaries(), self._look_at_gateways(), self._look_at_workers())
            self._console.show(self.screen())
            await asyncio.sleep(LOOK_SECONDS)

    def show_output(self) -> None:
        """Show what the application's processes have printed; before all is ready an error would show it again."""
        if not self._group.is_ready:
            return
        for child in list(self._group.children.values()):
            if child.plan.kind in SHOWN_OUTPUT:
                self._console.output(self._short(child), child.log.new_lines())

    async def _look_at_primaries(self) -> None:
        ports = self._group.plan.sentinel_ports
        seen = await known_primaries(ports[0]) if ports and self._group.is_ready else {}
        for shard, port in seen.items():
            if self._primaries.get(shard, port) != port:
                self._console.say(f"failover: the primary of {shard} is {self._server(port)} now")
        self._primaries.update(seen)

    async def _look_at_gateways(self) -> None:
        gateways = {
            name: child.plan.readiness.admin_port
            for name, child in self._group.children.items()
            if isinstance(child.plan.readiness, GatewayAnswers) and child.state in (State.READY, State.STOPPING)
        }
        numbers = await asyncio.gather(*(gateway_numbers(port) for port in gateways.values()))
        self._numbers = dict(zip(gateways, numbers, strict=True))
        told = {name: each.totals for name, each in self._numbers.items() if each is not None}
        self.history.add(time.monotonic(), told)

    async def _look_at_workers(self) -> None:
        asked = (child.plan.readiness for child in self._group.children.values() if child.state is State.READY)
        prefix = next((readiness.prefix for readiness in asked if isinstance(readiness, WorkerReports)), None)
        if prefix is not None:
            self._worker_epochs = await reported_epochs(self._group.shard_urls(), prefix)

    def epoch_of(self, process: str) -> int | None:
        """Return the epoch that a gateway or worker uses; None while it is not known."""
        numbers = self._numbers.get(process)
        return (numbers.epoch if numbers else self._worker_epochs.get(process)) or None

    def _server(self, port: int) -> str:
        found = (
            child.plan.name
            for child in self._group.children.values()
            if isinstance(child.plan.readiness, RedisAnswers) and child.plan.readiness.port == port
        )
        return next(found, f"port {port}")

    def screen(self) -> Screen:
        """Return how things stand, a row for each process."""
        epochs = {numbers.epoch for numbers in self._numbers.values() if numbers and numbers.epoch}
        epoch = ", ".join(map(str, sorted(epochs))) or str(self._group.plan.hosts.epoch)
        title = f"{self._name}   {self._group.taken.place.url}   host list epoch {epoch}   Ctrl-C drains and ends it"
        return Screen(title, tuple(self._row(child) for child in self._group.children.values()))

    def _row(self, child: Child) -> Row:
        numbers = self._numbers.get(child.plan.name)
        return Row(
            name=self._short(child),
            role=self._role(child) if child.pid is not None else child.plan.kind.value,
            address=child.plan.address,
            pid=child.pid,
            state=child.state.value,
            note=child.lacking,
            restarts=child.restarts,
            connections=numbers.connections if numbers else None,
        )

    def _role(self, child: Child) -> str:
        asked = child.plan.readiness
        if child.plan.kind is not Kind.REDIS or not isinstance(asked, RedisAnswers):
            return child.plan.kind.value
        planned = asked.primary_port is None
        known = self._primaries.get(asked.shard)
        return "primary" if (planned if known is None else known == asked.port) else "replica"

    def _short(self, child: Child) -> str:
        return child.plan.name.removeprefix(f"{self._name}-")
