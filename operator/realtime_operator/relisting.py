"""A list of each kind every five minutes, and soon after a watch began anew: that does not tell what went meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress

from realtime_operator.following import Following
from realtime_operator.handlers import SELECTOR
from realtime_operator.kube.client import KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.observe.object_cache import ObjectCache, resource_of
from realtime_operator.snapshot import ObjectKey
from realtime_operator.target import KIND

PERIOD_SECONDS = 300.0
# The watches of all kinds begin anew within about this time of each other.
BURST_SECONDS = 1.0
log = logging.getLogger(__name__)


async def relist_for_ever(
    client: KubeClient,
    kinds: Iterable[str],
    namespaces: Sequence[str],
    cache: ObjectCache,
    following: Following,
    listed: asyncio.Event,
) -> None:
    """List, compare, wake; until cancelled. ``listed`` says that a watch began anew."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(PERIOD_SECONDS):
                await listed.wait()
        await asyncio.sleep(BURST_SECONDS)
        listed.clear()
        for kind in kinds:
            try:
                await relist(client, kind, namespaces, cache, following)
            except KubeError as error:
                log.warning("Listing %s: %s", kind, error)


async def relist(
    client: KubeClient, kind: str, namespaces: Sequence[str], cache: ObjectCache, following: Following
) -> None:
    """List one kind, forget what is not there any more, and wake whom that concerns."""
    # What appears after this line may not be in the list, and must not be forgotten for that.
    known = set(cache.keys(kind))
    listed = await client.list(kind, namespaces, "" if kind == KIND else SELECTOR)
    there = {(seen["metadata"]["namespace"], ObjectKey(kind, seen["metadata"]["name"])) for seen in listed}
    for namespace, key in known - there:
        gone = cache.drop(namespace, key)
        owner = None if gone is None else resource_of(gone)
        if owner is not None and kind == KIND:
            following.end(owner)
        elif owner is not None:
            log.info("%s in %s has gone unseen.", key, namespace)
            following.wake(owner)
    for seen in listed:
        owner = resource_of(seen)
        if cache.put(seen) and owner is not None:
            (following.begin if kind == KIND else following.wake)(owner)
