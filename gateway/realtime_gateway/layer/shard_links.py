"""Keeps one link to each shard in use: dials, waits, dials again, and ends what is no longer wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

from realtime_gateway.environment import read_environment
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer.account import with_account
from realtime_gateway.layer.machine.passing import passes
from realtime_gateway.layer.options import describe
from realtime_gateway.layer.refusals import is_tls, remedy_for, says_less
from realtime_gateway.layer.shards.dialling import DialFailed
from realtime_gateway.layer.shards.link import Callbacks, Link, open_link
from realtime_gateway.layer.shards.sentinel_watch import SentinelWatches
from realtime_gateway.telemetry import recorder

log = logging.getLogger("realtime_gateway.layer")
# Each of many threads and forked processes draws for itself.
_JITTER = SystemRandom()

CONNECT_SECONDS = 5.0
_LATER_SECONDS = 0.5
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 1.0
# Over which all processes come to a new primary that Sentinel has announced.
_SPREAD_SECONDS = 0.1


@dataclass
class _History:
    """What one shard's dialling has come to so far.

    Attributes:
        wait_seconds: before the next try.
        ever_up: whether a link was ever open.
        server: which the last link led to.
        told: the error that was logged last, since the shard was up.
    """

    wait_seconds: float = _FIRST_WAIT_SECONDS
    ever_up: bool = False
    server: str = ""
    told: str = ""


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
        self._dialled: dict[str, Shard] = {}  # as each shard was when its present link, or the dial under way, began
        self._awaited: dict[str, list[asyncio.Future[Link]]] = {}
        self._waits: dict[str, asyncio.Timeout] = {}  # shard → what ends early when it has another primary
        self._primaries: dict[str, tuple[str, int]] = {}  # by what Sentinels said last
        self._watches = SentinelWatches(self._sentinel_arguments, CONNECT_SECONDS, self._on_primary)
        self._has_ended = False
        self._until: dict[str, asyncio.Future[str]] = {}  # shard → what ends its present link
        self.open: dict[str, Link] = {}

    def use(self, hosts: HostList) -> None:
        """Keep links to exactly these shards; one that is elsewhere now is left soon, and dialled where it is."""
        if self._has_ended:  # the machine may want it while the links go
            return
        wanted = {shard.name: shard for shard in hosts.shards}
        self._shards = wanted
        for name in set(self._tasks) - set(wanted):
            self._tasks.pop(name).cancel()
        for name in wanted:
            if self._has_moved(name):
                self._hurry(name)
        for name, link in self.open.items():
            if self._has_moved(name):
                # Whoever stays would write where nobody reads any more, or read where nobody writes.
                self._loop.call_later(_JITTER.uniform(0, _SPREAD_SECONDS), self._leave, name, link, context=Context())
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
        self._has_ended = True
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
        history = _History()
        while True:
            try:
                await self._once(name, history)
            except Exception:
                # Whatever went wrong, in here or in those who are told: the next try may work, and nobody else dials.
                log.exception("shard %s cannot be used", name)
                self._tell_down(name, "an unexpected error; see the log")
            # Spread out, so that all processes do not come back in the same moment.
            await self._pause(name, history.wait_seconds * _JITTER.uniform(0.5, 1.0))
            history.wait_seconds = min(history.wait_seconds * 2, _LONGEST_WAIT_SECONDS)

    async def _once(self, name: str, history: _History) -> None:
        """Dial, and hold the link until it is lost."""
        lost: asyncio.Future[str] = self._loop.create_future()
        try:
            link = await self._open(name, lost)
        except DialFailed as error:
            said = history.told if says_less(str(error), than=history.told) else str(error)
            reason = f"{describe(self._dialled[name])}: {said}"
            recorder.layer_connection_failures.add(1, "refused" if error.refused else _kind(said))
            if said != history.told:
                history.told = said
                told = " ".join(filter(None, (reason, remedy_for(history.told))))
                log.warning("shard %s cannot be used: %s", name, told)
            self._on_down(name, reason, bool(error.refused) and not passes(error.refused))
            return
        quiet = not history.ever_up and not history.told
        log.log(logging.DEBUG if quiet else logging.INFO, "shard %s is up", name)
        if history.ever_up:
            recorder.layer_reconnects.add()
            recorder.layer_failovers.add(int(history.server != link.run_id), name)
        history.server, history.ever_up = link.run_id, True
        history.wait_seconds, history.told = _FIRST_WAIT_SECONDS, ""
        await self._hold(name, link, lost)

    def _tell_down(self, name: str, reason: str) -> None:
        try:
            self._on_down(name, reason, False)
        except Exception:
            log.exception("an unexpected error in the channel layer")

    async def _open(self, name: str, lost: asyncio.Future[str]) -> Link:
        shard = self._dialled[name] = self._shards[name]
        try:
            connection = with_account(shard, read_environment())
        except ConfigurationError as error:
            raise DialFailed(str(error)) from error
        callbacks = self._callbacks_for(name, self._lost(name, lost))
        try:
            # It ends by its own time, which says so, or by being hurried.
            async with self._wait(name, CONNECT_SECONDS + _LATER_SECONDS):
                link = await open_link(connection, CONNECT_SECONDS, callbacks)
        except TimeoutError as error:
            raise DialFailed("it is elsewhere meanwhile") from error
        if self._has_moved(name):
            link.abandon()
            raise DialFailed("it has moved to another address meanwhile")
        return link

    def _has_moved(self, name: str) -> bool:
        """Whether a shard is not, or no longer, where it was dialled last."""
        shard, dialled = self._shards.get(name), self._dialled.get(name)
        return shard is not None and dialled is not None and shard.place != dialled.place

    def _leave(self, name: str, link: Link) -> None:
        if self.open.get(name) is link and self._has_moved(name):
            link.close(f"it has moved to {describe(self._shards[name])}")

    async def _pause(self, name: str, seconds: float) -> None:
        with suppress(TimeoutError):
            async with self._wait(name, seconds):
                await self._loop.create_future()

    @asynccontextmanager
    async def _wait(self, name: str, seconds: float) -> AsyncIterator[None]:
        """Let the block take so long, or until it is hurried."""
        wait = asyncio.timeout(seconds)
        try:
            async with wait:
                self._waits[name] = wait
                yield
        finally:
            # A shard that has left the list and come back may have another task by now, which waits as well.
            if self._waits.get(name) is wait:
                del self._waits[name]

    def _on_primary(self, name: str, address: tuple[str, int]) -> None:
        """A Sentinel says where a shard's primary is: go there now, from wherever we are or wait."""
        link = self.open.get(name)
        is_news = name in self._primaries
        self._primaries[name] = address
        if link is not None and link.address != address:
            link.close("Sentinel says that {}:{} is the primary".format(*address))
        elif is_news:
            self._hurry(name)

    def _hurry(self, name: str) -> None:
        """End whatever is waited for before a shard is dialled again."""
        wait = self._waits.get(name)
        if wait is not None and not wait.expired():
            wait.reschedule(self._loop.time() + _JITTER.uniform(0, _SPREAD_SECONDS))

    async def _hold(self, name: str, link: Link, lost: asyncio.Future[str]) -> None:
        self.open[name], self._until[name] = link, lost
        try:
            self._on_up(name, link)
            for future in self._awaited.pop(name, []):
                if not future.done():
                    future.set_result(link)
            reason = await lost
            log.warning("shard %s was lost: %s", name, reason)
        finally:
            if self._until.get(name) is lost and self.open.pop(name, None) is not None:
                # Cancelled, or not taken: nobody has been told yet that what is in flight will not be answered.
                link.abandon()
                self._tell_down(name, "the link was given up")

    def _lost(self, name: str, lost: asyncio.Future[str]) -> Callable[[str], None]:
        def on_lost(reason: str) -> None:
            if not lost.done():
                lost.set_result(reason)
            if self._until.get(name) is lost:  # and not of a link that was made since
                self.open.pop(name, None)
                self._tell_down(name, reason)

        return on_lost

    def _sentinel_arguments(self, shard: str) -> Mapping[str, Any]:
        found = with_account(self._shards[shard], read_environment())
        arguments: Mapping[str, Any] = found.get("sentinel_kwargs") or {}
        return arguments


def _kind(said: str) -> str:
    return "tls" if is_tls(said) else "unreachable"
