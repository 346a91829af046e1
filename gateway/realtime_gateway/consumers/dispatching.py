"""Feeds a consumer from its client and from the channel layer without a task for each message.

Channels' ``await_many_dispatch`` has a task wait on each of the two and makes a new one for each message: with the
``asyncio.wait`` around them some 30 µs of CPU per message, more than all else on its way from the layer to the socket.
Here the consumer's own task looks into both, and waits on one future where both are empty.

    client ── InputQueue ──┐
                           ├─ take ──▶ dispatch
    layer ─── mailbox ─────┘

Whatever is neither of ours (a middleware's ``receive``, another layer's) has a task as it has in Channels. What is
taken directly is taken when its handler runs, and not one message ahead.

The patch replaces the name ``await_many_dispatch`` in ``channels.consumer``, and nothing else. It is applied only to
versions of Channels whose source is known, and ``REALTIME_GATEWAY = {"DIRECT_DISPATCH": False}`` turns it off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import channels
import channels.consumer
import channels.utils
from django.conf import settings

from realtime_gateway.consumers.known_source import digest
from realtime_gateway.settings import gateway_settings

logger = logging.getLogger("realtime_gateway.consumers")


@dataclass
class Patch:
    """Whether Channels' consumers are fed by this."""

    applied: bool = False


_patch = Patch()

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Dispatch = Callable[[Message], Awaitable[None]]

# Of the function as it is in Channels 4.3.0, 4.3.1 and 4.3.2.
KNOWN_SOURCES = frozenset({"30ef889498560da3d72e6a695d2c17cf4a22b4948f2af6d53394343f4aace51d"})
# Messages that one consumer handles before the others have a turn, where no handler waits for anything: what they send
# in one turn leaves in one write.
IN_A_ROW = 16
# The same where one of the sources has a task, which needs turns of the loop of its own to bring a message.
IN_A_ROW_BESIDE_TASKS, TURNS_OF_TASKS = 4, 2


class Waker:
    """Wakes the task that looks into several sources, from where a message is put into one of them.

    It stays with its sources for as long as they are looked into: to be put there for each wait, and taken away
    afterwards, took a sixth of what a message in a room of two costs.
    """

    __slots__ = ("_loop", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None

    def __await__(self) -> Generator[Any, None, None]:
        """Wait until there may be something; begun in the same step as the last look."""
        waiter = self._waiter = self._loop.create_future()
        return waiter.__await__()

    def wake(self) -> None:
        """Have the task look, if it waits; one that does not looks again before it waits."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            try:  # noqa: SIM105 - contextlib's way takes as long as all the rest, and this is done for each message
                waiter.set_result(None)
            except RuntimeError:
                pass  # its loop was closed while it waited: an error here would cost others their messages

    def wake_from_elsewhere(self) -> None:
        """The same from any thread."""
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self.wake)


class Looked(Protocol):
    """What can be looked into."""

    def take(self) -> Message | None:
        """Return the oldest message; None while there is none."""
        ...

    def attend(self, waker: Waker, /) -> None:
        """Have it woken when there may be a message, from now on."""
        ...

    def end(self, waker: Waker, /) -> asyncio.Future[Message] | None:
        """Whose waker this is looks no more; returns what is under way, which has been cancelled, if anything is."""
        ...


class Task:
    """A source of messages that only an awaitable call brings: one ahead, as in Channels.

    Args:
        receive: the call.
        note: called with +1 in the step in which a message has come, and with -1 in that in which it is taken.
    """

    __slots__ = ("_note", "_receive", "_task", "_waker")

    def __init__(self, receive: Receive, note: Callable[[int], None] | None = None) -> None:
        self._receive = receive
        self._note = note
        self._task: asyncio.Future[Message] | None = None
        self._waker: Waker | None = None

    @property
    def in_use(self) -> bool:
        """Whether a message is on its way here."""
        return self._task is not None

    def take(self) -> Message | None:
        """Return the message that has come, and ask for the next one at the next look."""
        task = self._task
        if task is None:
            task = self._task = asyncio.ensure_future(self._receive() if self._note is None else self._noted())
            task.add_done_callback(self._came)
        if not task.done():
            return None
        self._task = None
        message = task.result()
        if message is None:
            raise TypeError("receive() returned None where a message was to come")
        if self._note is not None:
            self._note(-1)
        return message

    def attend(self, waker: Waker) -> None:
        """As Looked."""
        self._waker = waker

    def end(self, waker: Waker) -> asyncio.Future[Message] | None:
        """As Looked."""
        if self._task is not None:
            self._task.cancel()
        return self._task

    async def _noted(self) -> Message:
        message = await self._receive()
        assert self._note is not None, "whoever calls this has looked"
        self._note(1)
        return message

    def _came(self, task: asyncio.Future[Message]) -> None:
        if self._waker is not None:
            self._waker.wake()


class Reached(Protocol):
    """What can be looked into at times, by one."""

    def reach(self) -> bool:
        """Say whether it can now; called before each ``take``, in the same step."""
        ...

    def take(self) -> Message | None:
        """As Looked."""
        ...

    def attend(self, waker: Waker, /) -> None:
        """As Looked."""
        ...

    def end(self) -> None:
        """Nobody looks any more."""
        ...


class Direct:
    """A source of our layer's, with Channels' way for as long as it cannot be looked into from here.

    Args:
        source: of ours.
        receive: brings the same messages.
        note: as Task's.
    """

    __slots__ = ("_note", "_receive", "_source", "_task", "_waker")

    def __init__(self, source: Reached, receive: Receive, note: Callable[[int], None] | None = None) -> None:
        self._source = source
        self._receive = receive
        self._note = note
        self._task: Task | None = None  # mostly for ever
        self._waker: Waker | None = None

    def take(self) -> Message | None:
        """As Looked."""
        task = self._task
        if (task is None or not task.in_use) and self._source.reach():
            return self._source.take()
        if task is None:
            task = self._task = Task(self._receive, self._note)
            if self._waker is not None:
                task.attend(self._waker)
        return task.take()

    def attend(self, waker: Waker) -> None:
        """As Looked."""
        self._waker = waker
        self._source.attend(waker)

    def end(self, waker: Waker) -> asyncio.Future[Message] | None:
        """As Looked."""
        self._source.end()
        return None if self._task is None else self._task.end(waker)


def source_of(receive: Receive, note: Callable[[int], None] | None = None) -> Looked:
    """Return what a consumer is fed from by a call of ``receive``.

    Our server's ``receive`` is a method of what can be looked into; our layer's, which Channels makes a ``partial`` of,
    says by its ``source`` what can.
    """
    if isinstance(receive, partial):
        layer, plain = getattr(receive.func, "__self__", None), len(receive.args) == 1 and not receive.keywords
        make: Any = getattr(layer, "source", None)
        # Its own, and not that of another which it stands before.
        if (
            plain
            and receive.func.__name__ == "receive"
            and layer is not None
            and getattr(make, "__self__", None) is layer
        ):
            source: Reached | None = make(receive.args[0])
            if source is not None:
                return Direct(source, receive, note)
    else:
        owner: Any = getattr(receive, "__self__", None)
        if getattr(owner, "get", None) == receive and hasattr(owner, "attend"):
            queue: Looked = owner
            return queue
    return Task(receive, note)


async def feed(sources: Sequence[Looked], dispatch: Dispatch) -> None:
    """Dispatch what the sources have, in turns, until ``dispatch`` or a source raises."""
    waker = Waker(asyncio.get_running_loop())
    with_tasks = any(isinstance(source, Task) for source in sources)
    most, turns = (IN_A_ROW_BESIDE_TASKS, TURNS_OF_TASKS) if with_tasks else (IN_A_ROW, 1)
    in_a_row = 0
    try:
        for source in sources:
            source.attend(waker)
        while True:
            idle = True
            for source in sources:
                message = source.take()
                if message is not None:
                    idle = False
                    in_a_row += 1
                    await dispatch(message)
            if idle:
                await waker
                in_a_row = 0
            elif in_a_row >= most:
                in_a_row = 0
                for _ in range(turns):
                    await asyncio.sleep(0)
    finally:
        # All of them, before any is waited for: what one was busy with may fail as it is cancelled.
        endings = [source.end(waker) for source in sources]
        for ended in endings:
            if ended is not None:
                with suppress(asyncio.CancelledError):
                    await ended


async def await_many_dispatch(receives: Sequence[Receive], dispatch: Dispatch) -> None:
    """Do what ``channels.utils.await_many_dispatch`` does."""
    await feed([source_of(receive) for receive in receives], dispatch)


def chosen() -> Callable[[Sequence[Receive], Dispatch], Awaitable[None]]:
    """Return what feeds Channels' consumers: this, where it is applied, else Channels' own."""
    return await_many_dispatch if _patch.applied else channels.utils.await_many_dispatch


def apply_as_set() -> None:
    """Apply the patch unless the settings say otherwise; for a process that has its settings."""
    if settings.configured and gateway_settings().direct_dispatch:
        apply()


def apply() -> bool:
    """Apply the patch and say whether it is in place; a second call changes nothing."""
    if _patch.applied:
        return True
    if digest(channels.utils.await_many_dispatch) not in KNOWN_SOURCES:
        logger.warning(
            "Channels %s waits for messages in a way that this version of realtime-gateway was not tested with, so "
            "each message still has a task of its own. Upgrade realtime-gateway, or set REALTIME_GATEWAY = "
            '{"DIRECT_DISPATCH": False} to leave it so without this warning.',
            channels.__version__,
        )
        return False
    _patch.applied = True
    if channels.consumer.await_many_dispatch is channels.utils.await_many_dispatch:
        channels.consumer.await_many_dispatch = await_many_dispatch
    return True


def remove() -> None:
    """Give Channels its own function back."""
    _patch.applied = False
    if channels.consumer.await_many_dispatch is await_many_dispatch:
        channels.consumer.await_many_dispatch = channels.utils.await_many_dispatch
