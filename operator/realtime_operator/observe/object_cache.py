"""Every object that the operator's watches and writes have shown, as the API server returned it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from realtime_operator.objects.identity import INSTANCE_LABEL
from realtime_operator.snapshot import Manifest, ObjectKey
from realtime_operator.target import KIND

ResourceKey = tuple[str, str]


class ObjectCache:
    """Objects by namespace, kind and name. What a write returned is in it before the watch tells of it."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, ObjectKey], Manifest] = {}

    def put(self, seen: Manifest) -> bool:
        """Keep an object unless a newer version is known; says whether it was kept."""
        place = _place(seen)
        known = self._objects.get(place)
        # Versions of one object are comparable numbers (KEP-5504); the watch may lag behind a write's answer.
        if known is not None and _same_life(known, seen) and _version(known) >= _version(seen):
            return False
        self._objects[place] = seen
        return True

    def remove(self, seen: Manifest) -> None:
        """Forget an object that was deleted, unless it has been made again since."""
        known = self._objects.get(_place(seen))
        if known is not None and _same_life(known, seen):
            del self._objects[_place(seen)]

    def get(self, namespace: str, key: ObjectKey) -> Manifest | None:
        """One object."""
        return self._objects.get((namespace, key))

    def owned_by(self, namespace: str, uid: str) -> dict[ObjectKey, Manifest]:
        """The objects that belong to a resource; its pods are not among them, since they belong to those."""
        return {
            key: seen
            for (where, key), seen in self._objects.items()
            if where == namespace and owner_of(seen).get("uid") == uid
        }

    def pods_of(self, namespace: str, resource: str) -> list[Manifest]:
        """The pods of a resource."""
        return [
            seen
            for (where, key), seen in self._objects.items()
            if where == namespace and key.kind == "Pod" and _instance(seen) == resource
        ]

    def keys(self, kind: str) -> Iterator[tuple[str, ObjectKey]]:
        """Where objects of a kind are."""
        return (place for place in list(self._objects) if place[1].kind == kind)

    def drop(self, namespace: str, key: ObjectKey) -> Manifest | None:
        """Forget an object that a list did not show any more."""
        return self._objects.pop((namespace, key), None)


def owner_of(seen: Manifest) -> Mapping[str, Any]:
    """The RealtimeGateway that an object belongs to; empty for a stranger's."""
    references = seen["metadata"].get("ownerReferences", ())
    return next((reference for reference in references if reference.get("kind") == KIND), {})


def resource_of(seen: Manifest) -> ResourceKey | None:
    """Which resource should look when this object changes."""
    namespace = seen["metadata"].get("namespace", "")
    if seen.get("kind") == KIND:
        return (namespace, seen["metadata"]["name"])
    name = owner_of(seen).get("name") or _instance(seen)
    return (namespace, name) if name else None


def _instance(seen: Manifest) -> str:
    return str(seen["metadata"].get("labels", {}).get(INSTANCE_LABEL, ""))


def _place(seen: Manifest) -> tuple[str, ObjectKey]:
    return seen["metadata"].get("namespace", ""), ObjectKey(seen["kind"], seen["metadata"]["name"])


def _version(seen: Manifest) -> int:
    return int(seen["metadata"].get("resourceVersion", 0))


def _same_life(one: Manifest, other: Manifest) -> bool:
    return bool(one["metadata"].get("uid") == other["metadata"].get("uid"))
