"""Keeps one link to each shard in use: dials, waits, dials again, and ends what is no longer wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import Context
from random import SystemRandom
from typing import Any

from realtime_gateway.environment import read_environment
from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer.account import with_account
from realtime_gateway.layer.machine.passing import passes
from realtime_gateway.layer.options import describe
from realtime_gateway.layer.refusals import is_tls, remedy_for
from realtime_gateway.layer.shards.dialling import DialFailed
from realtime_gateway.layer.shards.link import Callbacks, Link, open_link
from realtime_gateway.layer.shards.sentinel_watch import SentinelWatches
from realtime_gateway.telemetry import recorder

log = logging.getLogger("realtime_gateway.layer")
# Each of many threads and forked processes draws for itself.
_JITTER = SystemRandom()

CONNECT_SECONDS = 5.0
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 1.0
# Over which all processes come to a new primary that Sentinel has announced.
_SPREAD_SECONDS = 0.1


class ShardLinks:
    """The links of one event loop.

    Args:
        callbacks_for: what to tell whom, for a shard.
        on_up: called with a shard's name and its open link.
        on_down: called with a shard's name, why, and whether the shard itself refused.
    """

    def __init__(
        self,
        callbacks_for: Callable[[str, Callable[[str], None]], Callbacks],
        on_up: Callable[[str, Link], None],
        on_down: Callable[[str, str, bool], None],
    ) -> None:
        self._callbacks_for = callbacks_for
        self._on_up = on_up
        self._on_down = on_down
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._shards: dict[str, Shard] = {}
        self._awaited: dict[str, list[asyncio.Future[Link]]] = {}
        self._waits: dict[str, asyncio.Timeout] = {}  # shard → what ends early when it has another primary
        self._primaries: dict[str, tuple[str, int]] = {}  # by what Sentinels said last
        self._watches = SentinelWatches(_sentinel_arguments, CONNECT_SECONDS, self._on_primary)
        self.open: dict[str, Link] = {}

    def use(self, hosts: HostList) -> None:
        """Keep links to exactly these shards; one whose address changed is dialled anew when it breaks."""
        wanted = {shard.name: shard for shard in hosts.shards}
        self._shards = wanted
        for name in set(self._tasks) - set(wanted):
            self._tasks.pop(name).cancel()
        for name in wanted:
            if name not in self._tasks:
                # An empty context: nothing of whoever happened to call first may live on in here.
                self._tasks[name] = self._loop.create_task(self._keep(name), context=Context())
        self._watches.use({name: shard.connection for name, shard in wanted.items()})

    def look_after(self, now: float, quiet_seconds: float, limit_seconds: float) -> None:
        """Ping what is quiet, give up what does not answer."""
        for link in list(self.open.values()):
            link.look_after(now, quiet_seconds, limit_seconds)
        self._watches.look_after(now, quiet_seconds, limit_seconds)

    def cancel(self) -> list[asyncio.Task[None]]:
        """Begin to end every task; return them."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        return tasks + self._watches.cancel()

    async def stop(self) -> None:
        """Cut every link and end every task."""
        tasks = self.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def opened(self, name: str) -> Link:
        """Wait until a shard's link is open."""
        link = self.open.get(name)
        if link is None:
            future: asyncio.Future[Link] = self._loop.create_future()
            self._awaited.setdefault(name, []).append(future)
            link = await future
        return link

    def file_numbers(self) -> list[int]:
        """The descriptors of all sockets."""
        links = [number for link in self.open.values() for number in link.file_numbers()]
        return links + self._watches.file_numbers()

    async def _keep(self, name: str) -> None:
        wait_seconds = _FIRST_WAIT_SECONDS
        ever_up, server = False, ""
        told = ""
        while True:
            lost: asyncio.Future[str] = self._loop.create_future()
            try:
                link = await self._open(name, lost)
            except DialFailed as error:
                reason = f"{describe(self._shards[name])}: {error}"
                recorder.layer_connection_failures.add(1, _kind(error))
                if str(error) != told:
                    told = str(error)
                    log.warning("shard %s cannot be used: %s", name, " ".join(filter(None, (reason, remedy_for(told)))))
                self._on_down(name, reason, bool(error.refused) and not passes(error.refused))
            except Exception:
                log.exception("shard %s cannot be used: %s", name, describe(self._shards[name]))
                self._on_down(name, "an unexpected error; see the log", False)
            else:
                log.log(logging.INFO if ever_up or told else logging.DEBUG, "shard %s is up", name)
                if ever_up:
                    recorder.layer_reconnects.add()
                    recorder.layer_failovers.add(int(server != link.run_id), name)
                server = link.run_id
                wait_seconds, ever_up, told = _FIRST_WAIT_SECONDS, True, ""
                await self._hold(name, link, lost)
            # Spread out, so that all processes do not come back in the same moment.
            await self._pause(name, wait_seconds * _JITTER.uniform(0.5, 1.0))
            wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)

    async def _open(self, name: str, lost: asyncio.Future[str]) -> Link:
        connection = with_account(self._shards[name].connection, read_environment())
        callbacks = self._callbacks_for(name, self._lost(name, lost))
        try:
            async with asyncio.timeout(CONNECT_SECONDS) as self._waits[name]:
                return await open_link(connection, CONNECT_SECONDS, callbacks)
        except TimeoutError as error:
            raise DialFailed("another server has become its primary meanwhile") from error
        finally:
            del self._waits[name]

    async def _pause(self, name: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds) as self._waits[name]:
                await self._loop.create_future()
        except TimeoutError:
            return
        finally:
            del self._waits[name]

    def _on_primary(self, name: str, address: tuple[str, int]) -> None:
        """A Sentinel says where a shard's primary is: go there now, from wherever we are or wait."""
        link, wait = self.open.get(name), self._waits.get(name)
        is_news = name in self._primaries
        self._primaries[name] = address
        if link is not None and link.address != address:
            link.close("Sentinel says that {}:{} is the primary".format(*address))
        elif wait is not None and is_news:
            wait.reschedule(self._loop.time() + _JITTER.uniform(0, _SPREAD_SECONDS))

    async def _hold(self, name: str, link: Link, lost: asyncio.Future[str]) -> None:
        self.open[name] = link
        self._on_up(name, link)
        for future in self._awaited.pop(name, []):
            if not future.done():
                future.set_result(link)
        try:
            reason = await lost
            log.warning("shard %s was lost: %s", name, reason)
        finally:
            if self.open.pop(name, None) is not None:
                # Cancelled: nobody has been told yet that what is in flight will not be answered.
                link.abandon()
                self._on_down(name, "the link was given up", False)

    def _lost(self, name: str, lost: asyncio.Future[str]) -> Callable[[str], None]:
        def on_lost(reason: str) -> None:
            self.open.pop(name, None)
            self._on_down(name, reason, False)
            if not lost.done():
                lost.set_result(reason)

        return on_lost


def _kind(error: DialFailed) -> str:
    if error.refused:
        return "refused"
    return "tls" if is_tls(str(error)) else "unreachable"


def _sentinel_arguments(connection: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments: Mapping[str, Any] = with_account(connection, read_environment()).get("sentinel_kwargs") or {}
    return arguments
