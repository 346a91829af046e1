"""Hearing what other processes say of users who may no longer be connected, through the channel layer.

While the layer is out of reach connections stay. When it is back, and whenever a notice may be missing, everybody is
looked at; this project's layer says so, and of any other it is assumed after an error.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from channels.layers import get_channel_layer

from realtime_gateway.auth.connections import Registry
from realtime_gateway.auth.notices import GROUP, MISSED, read_notices
from realtime_gateway.auth.revocation import tell_the_rest

logger = logging.getLogger("realtime_gateway.security")

PREFIX = "revocations"
# How many messages may wait while a handler holds the loop up; each has up to a hundred notices.
CAPACITY = 10_000
LAYER_BACK_SECONDS = 2.0
LEAVE_SECONDS = 2.0
# A membership ends after `group_expiry`, a day by default, unless it is renewed.
RENEWALS = 4


async def hear(found: Registry) -> None:
    """Apply what is heard, for ever; returns where there is no channel layer."""
    while (layer := get_channel_layer()) is not None:
        try:
            await _hear_until_it_fails(found, layer)
        except Exception as error:
            logger.warning("Revocations cannot be heard: %s", error)
        await asyncio.sleep(LAYER_BACK_SECONDS)


async def _hear_until_it_fails(found: Registry, layer: Any) -> None:
    channel = await _new_channel(layer)
    try:
        await layer.group_add(GROUP, channel)
        await _catch_up(found)
        async with asyncio.TaskGroup() as group:
            group.create_task(_stay(layer, channel))
            group.create_task(_receive(found, layer, channel))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    finally:
        with suppress(Exception):
            async with asyncio.timeout(LEAVE_SECONDS):
                await _leave(layer, channel)


async def _new_channel(layer: Any) -> str:
    watched = getattr(layer, "new_watched_channel", None)
    channel: str = await (layer.new_channel(PREFIX) if watched is None else watched(PREFIX, CAPACITY, MISSED))
    return channel


async def _receive(found: Registry, layer: Any, channel: str) -> None:
    while True:
        message = await layer.receive(channel)
        if message.get("type") == MISSED:
            await _catch_up(found)
        for age_seconds, notice in read_notices(message):
            found.apply(notice, age_seconds)


async def _catch_up(found: Registry) -> None:
    """Look at everybody, and say what could not be said meanwhile."""
    found.check_everybody()
    await tell_the_rest()


async def _stay(layer: Any, channel: str) -> None:
    while True:
        await asyncio.sleep(getattr(layer, "group_expiry", 86400) / RENEWALS)
        await layer.group_add(GROUP, channel)


async def _leave(layer: Any, channel: str) -> None:
    forget = getattr(layer, "forget", None)
    if forget is not None:
        await forget(channel)
    else:
        await layer.group_discard(GROUP, channel)
