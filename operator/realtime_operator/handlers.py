"""What kopf tells: each change goes into the cache and wakes its resource. Nothing is ever answered or written here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import kopf

from realtime_operator.following import Following
from realtime_operator.kube.client import KINDS, OTHERS
from realtime_operator.observe.object_cache import ObjectCache, resource_of
from realtime_operator.target import FIELD_MANAGER, KIND

# Server side: only what the operator has made is sent to it. Pods carry the label by their templates.
SELECTOR = f"app.kubernetes.io/managed-by={FIELD_MANAGER}"


def register(registry: kopf.OperatorRegistry, kinds: Iterable[str], cache: ObjectCache, following: Following) -> None:
    """Watch kinds. An index holds all handlers back until its first list is complete, so nothing is decided on half."""

    async def on_event(event: Any, **_: Any) -> None:
        noted(event, cache, following)

    async def on_index(body: Any, **_: Any) -> None:
        cache.put(dict(body))

    for kind in kinds:
        place = place_of(kind)
        kopf.index(*place, id=f"index-{place[2]}", registry=registry)(on_index)
        kopf.on.event(*place, id=f"event-{place[2]}", registry=registry)(on_event)


def noted(event: Any, cache: ObjectCache, following: Following) -> None:
    """Keep what an event shows, and wake whom it concerns; an echo of our own write concerns nobody."""
    seen = dict(event["object"])
    deleted = event["type"] == "DELETED"
    key = resource_of(seen)
    if deleted:
        cache.remove(seen)
    changed = deleted or cache.put(seen)
    if key is None:
        return
    if seen["kind"] != KIND:
        following.wake(key) if changed else None
    elif deleted:
        following.end(key)
    elif changed or event["type"] is None:
        following.begin(key)


def settings_for(settings: kopf.OperatorSettings, kinds: Iterable[str]) -> None:
    """Kopf as a watch source and nothing else: no events, no finalizer, no scanning, only what is labelled as ours."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.finalizer = f"{FIELD_MANAGER}/never-set"
    for kind in kinds:
        if kind not in OTHERS or kind == "Pod":
            settings.watching.label_selectors[place_of(kind)] = SELECTOR


def place_of(kind: str) -> tuple[str, str, str]:
    """Group, version and plural of a kind."""
    group, _, version = KINDS[kind].api_version.rpartition("/")
    return group, version, KINDS[kind].plural
