"""What people are told when it happens: one event for each condition that changes, none while it stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from realtime_operator.kube.client import KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.snapshot import Manifest
from realtime_operator.status import reasons
from realtime_operator.target import API_VERSION, FIELD_MANAGER, KIND

LONGEST_NOTE = 1000
# Conditions whose being true is bad news.
_BAD_WHEN_TRUE = {reasons.DEGRADED}
# Progress and pauses are no news to warn of.
_NEUTRAL = {reasons.PROGRESSING, reasons.PAUSED}


def transitions(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Conditions whose status or reason has changed. At the very first look only what is not in order is news."""
    known = {entry["type"]: entry for entry in before}
    for entry in after:
        old = known.get(entry["type"])
        same = old is not None and (old["status"], old["reason"]) == (entry["status"], entry["reason"])
        if not same and (old is not None or _is_news(entry)):
            yield entry


def event(resource: Manifest, condition: Mapping[str, Any], now: str, instance: str) -> dict[str, Any]:
    """The event that tells of one condition."""
    metadata = resource["metadata"]
    words = f"{metadata['uid']}/{condition['type']}/{condition['reason']}/{now}"
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name']}.{hashlib.sha256(words.encode()).hexdigest()[:16]}",
            "namespace": metadata["namespace"],
        },
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if _is_warning(condition) else "Normal",
        "reason": condition["reason"],
        "action": condition["type"],
        "note": condition["message"][:LONGEST_NOTE],
        "eventTime": now,
        "reportingController": FIELD_MANAGER,
        "reportingInstance": instance[:128],
    }


async def announce(client: KubeClient, events: Sequence[Mapping[str, Any]]) -> None:
    """Send events. One that cannot be sent is dropped: the condition says the same."""
    for one in events:
        try:
            await client.create(one)
        except KubeError as error:
            if not error.status:
                return  # nobody answers: each of the others would wait for that as well


def _is_warning(condition: Mapping[str, Any]) -> bool:
    if condition["type"] in _NEUTRAL:
        return False
    return bool((condition["status"] == "True") == (condition["type"] in _BAD_WHEN_TRUE))


def _is_news(condition: Mapping[str, Any]) -> bool:
    return _is_warning(condition) or (condition["type"], condition["status"]) == (reasons.PROGRESSING, "True")
