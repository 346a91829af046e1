"""The cache believes newer versions, and forgets only what it knows to be gone."""

from __future__ import annotations

from typing import Any

from realtime_operator.observe.object_cache import ObjectCache, resource_of
from realtime_operator.snapshot import ObjectKey
from realtime_operator.target import KIND

KEY = ObjectKey("Service", "chat")


def service(version: int, uid: str = "a") -> dict[str, Any]:
    owner = {"kind": KIND, "name": "chat", "uid": "owner"}
    metadata = {"name": "chat", "namespace": "talk", "uid": uid, "resourceVersion": str(version)}
    return {"kind": "Service", "metadata": {**metadata, "ownerReferences": [owner]}}


def test_a_late_echo_of_the_watch_does_not_undo_what_a_write_returned() -> None:
    cache = ObjectCache()
    assert cache.put(service(10))
    assert not cache.put(service(9))
    assert not cache.put(service(10))
    assert cache.put(service(11))


def test_an_object_that_was_made_again_is_another_one() -> None:
    cache = ObjectCache()
    cache.put(service(10))
    assert cache.put(service(5, uid="b"))


def test_a_late_deletion_of_the_one_before_removes_nothing() -> None:
    cache = ObjectCache()
    cache.put(service(10, uid="b"))
    cache.remove(service(9, uid="a"))
    assert cache.get("talk", KEY) is not None
    cache.remove(service(11, uid="b"))
    assert cache.get("talk", KEY) is None


def test_only_what_belongs_to_a_resource_is_its_own() -> None:
    cache = ObjectCache()
    cache.put(service(1))
    assert set(cache.owned_by("talk", "owner")) == {KEY}
    assert cache.owned_by("talk", "somebody") == {}
    assert cache.owned_by("elsewhere", "owner") == {}


def test_a_pod_wakes_the_resource_that_its_label_names() -> None:
    labels = {"app.kubernetes.io/instance": "chat"}
    pod = {"kind": "Pod", "metadata": {"name": "chat-1", "namespace": "talk", "labels": labels}}
    assert resource_of(pod) == ("talk", "chat")
    assert resource_of({"kind": "Pod", "metadata": {"name": "other", "namespace": "talk"}}) is None
