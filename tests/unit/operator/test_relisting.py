"""A list finds what a watch missed; kopf's echoes wake nobody."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.conditions import until

from realtime_operator.handlers import deleted, noted, place_of, settings_for
from realtime_operator.observe.object_cache import ObjectCache
from realtime_operator.relisting import relist, relist_for_ever
from realtime_operator.snapshot import ObjectKey
from realtime_operator.target import KIND


class Followed:
    """In Following's place: writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def begin(self, key: tuple[str, str]) -> None:
        self.told.append(("begin", key[1]))

    def wake(self, key: tuple[str, str]) -> None:
        self.told.append(("wake", key[1]))

    def end(self, key: tuple[str, str]) -> None:
        self.told.append(("end", key[1]))


class Listed:
    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = list(objects)

    async def list(self, *_: object) -> list[dict[str, Any]]:
        return self.objects


def thing(kind: str, name: str, version: int = 1) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "talk",
        "uid": f"uid-{name}",
        "resourceVersion": str(version),
    }
    if kind != KIND:
        metadata["ownerReferences"] = [{"kind": KIND, "name": "chat", "uid": "owner"}]
    return {"kind": kind, "metadata": metadata}


async def again(kind: str, cache: ObjectCache, *there: dict[str, Any]) -> list[tuple[str, str]]:
    client: Any = Listed(*there)
    following: Any = Followed()
    await relist(client, kind, (), cache, following)
    told: list[tuple[str, str]] = following.told
    return told


async def test_what_vanished_unseen_is_forgotten_and_wakes_its_resource() -> None:
    cache = ObjectCache()
    cache.put(thing("Service", "a"))
    cache.put(thing("Service", "b"))
    assert await again("Service", cache, thing("Service", "b")) == [("wake", "chat")]
    assert cache.get("talk", ObjectKey("Service", "a")) is None


async def test_a_list_that_shows_nothing_new_wakes_nobody() -> None:
    cache = ObjectCache()
    cache.put(thing("Service", "a"))
    assert await again("Service", cache, thing("Service", "a")) == []


async def test_what_changed_or_came_unseen_wakes_its_resource() -> None:
    cache = ObjectCache()
    cache.put(thing("Service", "a"))
    seen = await again("Service", cache, thing("Service", "a", version=2), thing("Service", "b"))
    assert seen == [("wake", "chat"), ("wake", "chat")]


async def test_a_resource_that_vanished_is_followed_no_more() -> None:
    cache = ObjectCache()
    cache.put(thing(KIND, "chat"))
    assert await again(KIND, cache) == [("end", "chat")]


async def test_a_watch_that_began_anew_is_followed_by_a_list_within_seconds() -> None:
    cache = ObjectCache()
    cache.put(thing("Service", "a"))
    client: Any = Listed()
    following: Any = Followed()
    listed = asyncio.Event()
    listed.set()
    task = asyncio.create_task(relist_for_ever(client, ["Service"], (), cache, following, listed))
    try:
        await until(lambda: following.told == [("wake", "chat")])
        assert not listed.is_set()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_an_echo_of_our_own_write_wakes_nobody() -> None:
    cache = ObjectCache()
    following: Any = Followed()
    cache.put(thing("Service", "a", version=2))
    noted(thing("Service", "a", version=2), cache, following)
    assert following.told == []
    noted(thing("Service", "a", version=3), cache, following)
    assert following.told == [("wake", "chat")]


def test_a_resource_begins_to_be_followed_and_ends() -> None:
    cache = ObjectCache()
    following: Any = Followed()
    noted(thing(KIND, "chat"), cache, following)
    deleted(thing(KIND, "chat"), cache, following)
    assert following.told == [("begin", "chat"), ("end", "chat")]


def test_kopf_writes_nothing_and_watches_only_what_is_ours() -> None:
    import kopf

    settings = kopf.OperatorSettings()
    settings_for(settings, ["Service", "Pod", KIND])
    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True
    assert len(settings.watching.label_selectors) == 2, "people's own objects carry no label of ours"
    assert place_of("Deployment") == ("apps", "v1", "deployments")
    assert place_of("Service") == ("", "v1", "services")
