"""Hears from Sentinels which server is the primary now, without asking.

A primary that stood still, or was cut off from the others, believes in itself until a Sentinel reaches it, ten seconds
and more after the failover. Whoever is connected to it is refused or, worse, hears nothing of those who write to the
new one. Sentinels announce a failover the moment it is done (https://redis.io/docs/latest/develop/reference/sentinel-clients/,
step "subscribing to Sentinel events"), so everybody can move at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context
from functools import partial
from random import SystemRandom
from typing import Any

from realtime_gateway.layer.shards.dialling import IGNORED, Target, dial
from realtime_gateway.layer.shards.encrypted import chosen_class
from realtime_gateway.layer.shards.wire import Wire

log = logging.getLogger("realtime_gateway.layer")
# Each of many threads and forked processes draws for itself.
_JITTER = SystemRandom()

Address = tuple[str, int]
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.5, 5.0


class SentinelWatch:
    """One subscription to each Sentinel of a set.

    They may disagree for a moment: one that was away knows an older primary. The highest configuration epoch counts,
    as it does among Sentinels, and an announcement counts as one above what was known. When none of them can be heard
    any more, all is forgotten, since other ones may stand in their places next.

    Args:
        sentinels: host and port of each.
        arguments: called for the arguments of each connection, as ``sentinel_kwargs`` of a host has them.
        limit_seconds: for connecting to one.
        on_primary: called with the name of a primary and its address, whenever another server has become it, and
            again with each Sentinel that announces so: whoever asked a late one in between was led back.
    """

    def __init__(
        self,
        sentinels: Iterable[Address],
        arguments: Callable[[], Mapping[str, Any]],
        limit_seconds: float,
        on_primary: Callable[[str, Address], None],
    ) -> None:
        self._arguments = arguments
        self._limit_seconds = limit_seconds
        self._on_primary = on_primary
        self._known: dict[str, tuple[int, Address]] = {}
        self._wires: set[Wire] = set()
        self.names: frozenset[str] = frozenset()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._keep(address), context=Context()) for address in sentinels]

    def watch(self, names: frozenset[str]) -> None:
        """Watch the primaries of exactly these names."""
        added, self.names = names - self.names, names
        if added:
            for wire in list(self._wires):
                # A subscribed connection takes no questions; the next one asks for all of them.
                wire.close("there are more primaries to ask for")

    def look_after(self, now: float, quiet_seconds: float, limit_seconds: float) -> None:
        """Ping what is quiet, give up what does not answer."""
        for wire in list(self._wires):
            wire.look_after(now, quiet_seconds, limit_seconds)

    def file_numbers(self) -> list[int]:
        """The descriptors of all sockets."""
        return [wire.file_number for wire in self._wires]

    def cancel(self) -> list[asyncio.Task[None]]:
        """Begin to end every task; return them."""
        for task in self._tasks:
            task.cancel()
        return self._tasks

    async def _keep(self, address: Address) -> None:
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            try:
                wire = await self._dial(address, partial(_settle, lost))
            except Exception as error:
                # Dialling the shards warns of what is wrong with the Sentinels, too.
                log.debug("the Sentinel %s:%s cannot be heard: %s", *address, error)
                wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)
            else:
                wait_seconds = _FIRST_WAIT_SECONDS
                await self._listen(wire, lost)
            await asyncio.sleep(wait_seconds * _JITTER.uniform(0.5, 1.0))

    async def _dial(self, address: Address, on_lost: Callable[[str], None]) -> Wire:
        arguments = {name: value for name, value in self._arguments().items() if name not in IGNORED}
        host, port = address
        target = Target(chosen_class(arguments), {**arguments, "host": host, "port": port})
        return await dial(target, self._limit_seconds, self._heard, on_lost)

    async def _listen(self, wire: Wire, lost: asyncio.Future[str]) -> None:
        self._wires.add(wire)
        try:
            # In one piece, which a Sentinel executes without a failover in between.
            for name in sorted(self.names):
                wire.write(("SENTINEL", "MASTER", name))
            wire.write(("SUBSCRIBE", "+switch-master"))
            await lost
        finally:
            self._wires.discard(wire)
            wire.close("no longer heard")
            if not self._wires:
                self._known.clear()

    def _heard(self, reply: Any) -> None:
        if not isinstance(reply, list):
            return
        if len(reply) == 3 and reply[0] == b"message":
            # "<name> <old host> <old port> <new host> <new port>"
            name, _, _, host, port = reply[2].decode().split(" ")
            known = self._known.get(name)
            self._is_now(name, known[0] + 1 if known else 0, (host, int(port)), announced=True)
        elif len(reply) % 2 == 0 and b"config-epoch" in reply:
            said = dict(zip(reply[::2], reply[1::2], strict=True))
            address = (said[b"ip"].decode(), int(said[b"port"]))
            self._is_now(said[b"name"].decode(), int(said[b"config-epoch"]), address)

    def _is_now(self, name: str, epoch: int, address: Address, *, announced: bool = False) -> None:
        known = self._known.get(name)
        if name not in self.names or (known is not None and epoch < known[0]):
            return
        self._known[name] = (epoch, address)
        if announced or known is None or known[1] != address:
            self._on_primary(name, address)


class SentinelWatches:
    """The watches that a host list's shards need: one for each set of Sentinels.

    Args:
        arguments: called with a shard's name for the arguments of connections to its Sentinels.
        limit_seconds: for connecting to one.
        on_primary: called with the name of a shard and the address that is its primary from now on.
    """

    def __init__(
        self,
        arguments: Callable[[str], Mapping[str, Any]],
        limit_seconds: float,
        on_primary: Callable[[str, Address], None],
    ) -> None:
        self._arguments = arguments
        self._limit_seconds = limit_seconds
        self._on_primary = on_primary
        self._watches: dict[tuple[Address, ...], SentinelWatch] = {}
        self._shards: dict[tuple[Address, ...], dict[str, Mapping[str, Any]]] = {}

    def use(self, connections: Mapping[str, Mapping[str, Any]]) -> None:
        """Watch exactly these shards, given as name → entry of ``hosts``; those without Sentinels need no watch."""
        self._shards = {}
        for name, entry in connections.items():
            if "master_name" in entry:
                sentinels = tuple(sorted((str(host), int(port)) for host, port in entry["sentinels"]))
                self._shards.setdefault(sentinels, {})[name] = entry
        for sentinels in set(self._watches) - set(self._shards):
            self._watches.pop(sentinels).cancel()
        for sentinels, entries in self._shards.items():
            watch = self._watches.get(sentinels)
            if watch is None:
                watch = self._watches[sentinels] = SentinelWatch(
                    sentinels,
                    partial(self._arguments_for, sentinels),
                    self._limit_seconds,
                    partial(self._moved, sentinels),
                )
            watch.watch(frozenset(entry["master_name"] for entry in entries.values()))

    def look_after(self, now: float, quiet_seconds: float, limit_seconds: float) -> None:
        """Ping what is quiet, give up what does not answer."""
        for watch in self._watches.values():
            watch.look_after(now, quiet_seconds, limit_seconds)

    def file_numbers(self) -> list[int]:
        """The descriptors of all sockets."""
        return [number for watch in self._watches.values() for number in watch.file_numbers()]

    def cancel(self) -> list[asyncio.Task[None]]:
        """Begin to end every task; return them."""
        watches, self._watches = self._watches, {}
        return [task for watch in watches.values() for task in watch.cancel()]

    def _arguments_for(self, sentinels: tuple[Address, ...]) -> Mapping[str, Any]:
        return self._arguments(next(iter(self._shards[sentinels])))

    def _moved(self, sentinels: tuple[Address, ...], master_name: str, address: Address) -> None:
        for shard, entry in self._shards[sentinels].items():
            if entry["master_name"] == master_name:
                self._on_primary(shard, address)


def _settle(lost: asyncio.Future[str], reason: str) -> None:
    if not lost.done():
        lost.set_result(reason)
