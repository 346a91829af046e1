"""Ending the connections of a user, on every pod: what the triggers, the command line and a site's own code call."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from realtime_gateway.auth.connections import tell_here
from realtime_gateway.auth.notices import GROUP, Action, Notice

logger = logging.getLogger("realtime_gateway.security")

# Tasks on the loop of an async caller that nobody waits for.
_TELLING: set[asyncio.Task[None]] = set()


async def arevoke(user: Any, reason: str = "logged out") -> None:
    """Close every WebSocket of a user, with 4401.

    Args:
        user: a user, or its primary key.
        reason: what the clients read; at most 123 bytes.

    Raises:
        ValueError: the reason is too long for a close frame.
    """
    if len(reason.encode()) > 123:
        raise ValueError("A close frame holds a reason of at most 123 bytes (RFC 6455 section 5.5).")
    await tell(Notice(Action.END, (str(getattr(user, "pk", user)),), reason=reason))


def revoke(user: Any, reason: str = "logged out") -> None:
    """Do the same from code that is not async."""
    async_to_sync(arevoke)(user, reason)


async def tell(notice: Notice) -> None:
    """Tell all processes; where the channel layer is away, at least this one.

    A user's logout must not fail because Redis does: the others find out when they look next.
    """
    layer = get_channel_layer()
    if layer is None:
        tell_here(notice)
        return
    try:
        await layer.group_send(GROUP, notice.message())
    except Exception as error:
        logger.warning("A revocation reached this process only; others will find out when they look again: %s", error)
        tell_here(notice)


def tell_from_anywhere(notice: Notice) -> None:
    """Tell from a signal handler, which may run in a thread or on a loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        async_to_sync(tell)(notice)
        return
    task = loop.create_task(tell(notice), name="realtime_gateway.tell")
    _TELLING.add(task)
    task.add_done_callback(_TELLING.discard)
