"""Ending the connections of a user, on every pod: what the triggers, the command line and a site's own code call."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from realtime_gateway.auth.connections import tell_here
from realtime_gateway.auth.notices import AT_ONCE, GROUP, Action, Notice, message_of
from realtime_gateway.errors import MessageTooLarge
from realtime_gateway.security.user_keys import key_of

logger = logging.getLogger("realtime_gateway.security")

# How long a logout, or any other change of a user, may be held up by a channel layer that is away.
TELL_SECONDS = 2.0
# Whoever revokes on purpose can wait until a Redis primary has been replaced.
REVOKE_SECONDS = 12.0
# What other processes do not know yet, and since when this one does.
_UNTOLD: deque[tuple[float, Notice]] = deque(maxlen=10_000)
Untold = list[tuple[float, Notice]]
# Tasks on the loop of an async caller that nobody waits for.
_TELLING: set[asyncio.Task[None]] = set()


async def arevoke(user: Any, reason: str = "logged out") -> None:
    """Close every WebSocket of a user, with 4401.

    Args:
        user: a user of any model, or a primary key of the site's user model, as its field reads it.
        reason: what the clients read; at most 123 bytes.

    Raises:
        ValueError: the reason is too long for a close frame.
        ConfigurationError: it is no such key.
    """
    if len(reason.encode()) > 123:
        raise ValueError("A close frame holds a reason of at most 123 bytes (RFC 6455 section 5.5).")
    await tell([Notice(Action.END, (key_of(user),), reason=reason)], REVOKE_SECONDS)


def revoke(user: Any, reason: str = "logged out") -> None:
    """Do the same from code that is not async."""
    async_to_sync(arevoke)(user, reason)


async def tell(notices: Sequence[Notice], within_seconds: float = TELL_SECONDS) -> None:
    """Tell this process at once, and all others through the channel layer.

    A user's logout must not fail because Redis does, nor wait for it long. What others could not be told they are told
    with the next notice, or when this process hears that the layer is back.
    """
    now = time.monotonic()
    for notice in notices:
        tell_here(notice)
        _UNTOLD.append((now, notice))
    await tell_the_rest(within_seconds)


async def tell_the_rest(within_seconds: float = TELL_SECONDS) -> None:
    """Tell others what they have not been told."""
    layer = get_channel_layer()
    if layer is None:
        _UNTOLD.clear()
    try:
        async with asyncio.timeout(within_seconds):
            while part := _take(AT_ONCE):
                await _tell_part(layer, part)
    except Exception as error:
        why = str(error) or "the channel layer does not answer"
        logger.warning("%d revocations reached this process only, and will be told again: %s", len(_UNTOLD), why)


async def _tell_part(layer: Any, part: Untold) -> None:
    """Tell it in as few messages as the layer takes; what is not told is put back."""
    waiting = [part]
    while waiting:
        now = time.monotonic()
        try:
            await layer.group_send(GROUP, message_of([(now - since, notice) for since, notice in waiting[-1]]))
        except MessageTooLarge as error:
            # Put back, it would be refused again, and hold up all that are behind it for ever.
            refused = waiting.pop()
            smaller = halves(refused)
            if not smaller:
                logger.error("Other processes are not told of a revocation: %s", error)
            waiting += reversed(smaller)
        except BaseException:
            for rest in waiting:  # the first to be told is the last
                _UNTOLD.extendleft(reversed(rest))
            raise
        else:
            waiting.pop()


def halves(part: Untold) -> Sequence[Untold]:
    """Return what says the same in two; nothing, if it is one notice of one user."""
    if len(part) > 1:
        middle = len(part) // 2
        return part[:middle], part[middle:]
    ((since, notice),) = part
    middle = len(notice.users) // 2
    if not middle:
        return ()
    users = notice.users[:middle], notice.users[middle:]
    return [[(since, replace(notice, users=some))] for some in users]


def _take(at_most: int) -> Untold:
    taken: Untold = []
    with suppress(IndexError):  # another thread may take as well
        while len(taken) < at_most:
            taken.append(_UNTOLD.popleft())
    return taken


def tell_from_anywhere(notices: Sequence[Notice]) -> None:
    """Tell from a signal handler, which may run in a thread or on a loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        async_to_sync(tell)(notices)
        return
    task = loop.create_task(tell(notices), name="realtime_gateway.tell")
    _TELLING.add(task)
    task.add_done_callback(_TELLING.discard)
