"""What kopf tells: each change goes into the cache and wakes its resource. Nothing is ever answered or written here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import kopf

from realtime_operator.following import Following
from realtime_operator.kube.client import KINDS, OTHERS
from realtime_operator.observe.object_cache import ObjectCache, resource_of
from realtime_operator.snapshot import Manifest
from realtime_operator.target import FIELD_MANAGER, KIND

# Server side: only what the operator has made is sent to it. Pods carry the label by their templates.
SELECTOR = f"app.kubernetes.io/managed-by={FIELD_MANAGER}"


def register(
    registry: kopf.OperatorRegistry,
    kinds: Iterable[str],
    cache: ObjectCache,
    following: Following,
    listed: asyncio.Event,
) -> None:
    """Watch kinds; ``listed`` is set when kopf has listed one, at the start and after a watch that could not go on.

    kopf hands every object to an index as soon as it comes, and to event handlers only when the first list of every
    index is complete. So the index fills the cache, and the first event says that nothing is decided on half of it.
    """

    async def on_index(body: Any, **_: Any) -> None:
        noted(dict(body), cache, following)

    async def on_event(event: Any, **_: Any) -> None:
        following.all_is_read()
        if event["type"] is None:
            listed.set()
        if event["type"] == "DELETED":
            deleted(dict(event["object"]), cache, following)

    for kind in kinds:
        place = place_of(kind)
        kopf.index(*place, id=f"index-{place[2]}", registry=registry)(on_index)
        kopf.on.event(*place, id=f"event-{place[2]}", registry=registry)(on_event)


def noted(seen: Manifest, cache: ObjectCache, following: Following) -> None:
    """Keep an object, and wake whom it concerns; an echo of our own write concerns nobody."""
    key = resource_of(seen)
    if cache.put(seen) and key is not None:
        (following.begin if seen["kind"] == KIND else following.wake)(key)


def deleted(seen: Manifest, cache: ObjectCache, following: Following) -> None:
    """Forget an object, and wake whom it belonged to."""
    key = resource_of(seen)
    cache.remove(seen)
    if key is not None:
        (following.end if seen["kind"] == KIND else following.wake)(key)


def settings_for(settings: kopf.OperatorSettings, kinds: Iterable[str]) -> None:
    """Kopf as a watch source and nothing else: no events, no finalizer, no scanning, only what is labelled as ours."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    # Kopf would kill the process ten minutes after its end, and it ends whenever there are other kinds to watch.
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.finalizer = f"{FIELD_MANAGER}/never-set"
    for kind in kinds:
        if kind not in OTHERS or kind == "Pod":
            settings.watching.label_selectors[place_of(kind)] = SELECTOR


def place_of(kind: str) -> tuple[str, str, str]:
    """Group, version and plural of a kind."""
    group, _, version = KINDS[kind].api_version.rpartition("/")
    return group, version, KINDS[kind].plural
