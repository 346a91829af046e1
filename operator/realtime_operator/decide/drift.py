"""Whether an object in the cluster is what it should be, and what others have added where nobody else may.

An object needs applying when a field that we set differs, or when we would set other fields than the last time (then
server-side apply also takes back what we no longer want). What we set is compared with what is there; what the server
filled in besides does not count. So an object in order costs no call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from realtime_operator.objects.pods import digest
from realtime_operator.plan import RemoveForeign
from realtime_operator.snapshot import Manifest, ObjectKey
from realtime_operator.target import API_GROUP, FIELD_MANAGER

APPLIED_ANNOTATION = f"{API_GROUP}/applied"
# Fields that tell the entries of a list apart, in this order.
_ENTRY_KEYS = ("name", "mountPath", "containerPort", "port", "topologyKey", "uid", "key")
# Where every entry that is not ours is taken out again.
_OURS_ALONE: dict[str, tuple[str, ...]] = {
    "Secret": ("data",),
    "ConfigMap": ("data", "binaryData"),
    "NetworkPolicy": ("spec",),
    "Deployment": ("spec.template",),
    "StatefulSet": ("spec.template",),
}
# `kubectl rollout restart` is a person's right, though it writes into a pod template.
_TOLERATED = ("/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt",)


def stamped(manifest: Manifest) -> dict[str, Any]:
    """Add the hash of what we set, by which the next look knows whether we would set the same."""
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = {**metadata.get("annotations", {}), APPLIED_ANNOTATION: digest(manifest)}
    return {**manifest, "metadata": metadata}


def key_of(manifest: Manifest) -> ObjectKey:
    """The key under which a snapshot holds this object."""
    return ObjectKey(manifest["kind"], manifest["metadata"]["name"])


def covers(seen: Any, wanted: Any) -> bool:
    """Whether ``seen`` has at least what ``wanted`` has."""
    if isinstance(wanted, Mapping):
        return isinstance(seen, Mapping) and all(
            covers(seen.get(name), value) for name, value in wanted.items() if not _nothing(value, seen.get(name))
        )
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return _covers_list(seen, wanted)
    return bool(seen == wanted)


def foreign_entries(seen: Manifest) -> tuple[str, ...]:
    """JSON pointers of what other managers have set in the parts of an object that are ours alone."""
    alone = _OURS_ALONE.get(seen["kind"], ())
    managed = seen["metadata"].get("managedFields", ())
    ours = {path for entry in managed if entry.get("manager") == FIELD_MANAGER for path in _leaves(entry, seen)}
    theirs = {
        path
        for entry in managed
        if entry.get("manager") != FIELD_MANAGER and not entry.get("subresource")
        for path in _leaves(entry, seen)
    }
    inside = tuple("/" + part.replace(".", "/") for part in alone)
    return tuple(sorted(path for path in theirs - ours if path not in _TOLERATED and _within(path, inside, ours)))


def removal(seen: Manifest) -> RemoveForeign | None:
    """The patch that takes foreign entries out; bound to the version seen, so that indices are right."""
    paths = foreign_entries(seen)
    if not paths:
        return None
    version = seen["metadata"]["resourceVersion"]
    # Later entries of a list first: taking out an earlier one would move them.
    ordered = sorted(paths, key=_position, reverse=True)
    patch = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}]
    patch += [{"op": "remove", "path": path} for path in ordered]
    return RemoveForeign(key_of(seen), tuple(patch))


def _nothing(wanted: Any, seen: Any) -> bool:
    """Whether an empty value is wanted where none is kept: the server drops empty lists, objects and texts."""
    return seen is None and wanted in ("", [], {}, ())


def _covers_list(seen: Any, wanted: Sequence[Any]) -> bool:
    if not isinstance(seen, Sequence) or isinstance(seen, str):
        return False
    key = next((key for key in _ENTRY_KEYS if all(isinstance(w, Mapping) and key in w for w in wanted)), None)
    if key is None or len({str(entry[key]) for entry in wanted}) < len(wanted):
        return len(seen) == len(wanted) and all(map(covers, seen, wanted))
    by_key = {entry.get(key): entry for entry in seen if isinstance(entry, Mapping)}
    return all(covers(by_key.get(entry[key]), entry) for entry in wanted)


def _within(path: str, roots: tuple[str, ...], ours: set[str]) -> bool:
    """Whether a foreign path lies in a part that is ours alone, and is not an ancestor of something of ours."""
    inside = any(path.startswith(root + "/") for root in roots)
    return inside and not any(own.startswith(path + "/") for own in ours)


def _position(path: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(step), "") if step.isdigit() else (-1, step) for step in path.split("/"))


def _leaves(entry: Mapping[str, Any], seen: Manifest) -> Iterator[str]:
    """JSON pointers of the fields that one manager has set and that are still there.

    In managedFields a field is ``f:name``, a list's entry ``k:{…}`` with the fields that identify it, an entry of a set
    ``v:…``; ``.`` stands for the thing itself (KEP-555).
    """
    yield from _walk(entry.get("fieldsV1", {}), seen, "")


def _walk(fields: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    for name, inner in fields.items():
        step = _step(name, value)
        if step is None:
            continue
        below, pointer = step
        # An entry that names itself was added whole; so was a leaf.
        if not inner or (name.startswith("k:") and "." in inner):
            yield f"{path}/{pointer}"
        if inner:
            yield from _walk(inner, below, f"{path}/{pointer}")


def _step(name: str, value: Any) -> tuple[Any, str] | None:
    """The value that one step of managedFields leads to, and its step in a JSON pointer."""
    if name.startswith("f:") and isinstance(value, Mapping) and name[2:] in value:
        return value[name[2:]], name[2:].replace("~", "~0").replace("/", "~1")
    if name.startswith("k:") and isinstance(value, Sequence):
        return _entry(name[2:], value)
    return None


def _entry(key: str, entries: Sequence[Any]) -> tuple[Any, str] | None:
    wanted = json.loads(key)
    for index, entry in enumerate(entries):
        if isinstance(entry, Mapping) and covers(entry, wanted):
            return entry, str(index)
    return None
