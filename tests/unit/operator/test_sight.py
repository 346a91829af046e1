"""An operator that may not see: which rights it asks for, and that every resource is told once."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_operator import sight
from realtime_operator.kube.errors import KubeError
from realtime_operator.snapshot import ObjectKey
from realtime_operator.target import KIND


class Cluster:
    """An API server with some resources, one of which takes no status, that allows all but some verbs."""

    def __init__(self, *names: str, refused: tuple[tuple[str, str, str], ...] = (), stubborn: str = "") -> None:
        self.resources: dict[str, Any] = {name: self.resource(name) for name in names}
        self.refused = refused
        self.stubborn = stubborn
        self.events: list[dict[str, Any]] = []

    @staticmethod
    def resource(name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "here", "uid": name, "generation": 1}}

    async def may(self, verb: str, kind: str, namespace: str) -> bool:
        return (verb, kind, namespace) not in self.refused

    async def list(self, kind: str, namespaces: tuple[str, ...]) -> list[Any]:
        assert kind == KIND
        return list(self.resources.values())

    async def patch(self, key: ObjectKey, namespace: str, body: Any, **_: Any) -> dict[str, Any]:
        if key.name == self.stubborn:
            raise KubeError(409, "not now")
        resource: dict[str, Any] = self.resources[key.name]
        resource["status"] = {**resource.get("status", {}), **body["status"]}
        return resource

    async def create(self, event: dict[str, Any]) -> None:
        self.events.append(event)


async def tell(cluster: Cluster) -> None:
    await sight.tell(cluster, ["list pods"], (), "me")  # type: ignore[arg-type] # all of the client that it uses


def degraded(cluster: Cluster, name: str) -> dict[str, Any]:
    conditions = cluster.resources[name].get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == "Degraded"), {})


async def test_rights_to_list_and_watch_are_asked_for_in_each_namespace() -> None:
    cluster = Cluster(refused=(("watch", "Pod", "b"), ("list", "Secret", "a")))
    lacking = await sight.lacking(cluster, ("Pod", "Secret"), ("a", "b"))  # type: ignore[arg-type] # as above
    assert lacking == ("watch pods in b", "list secrets in a")


@pytest.mark.parametrize("stubborn", ["", "one"])
async def test_every_resource_is_told_though_one_cannot_be(stubborn: str) -> None:
    cluster = Cluster("one", "two", stubborn=stubborn)
    await tell(cluster)
    told = {name for name in cluster.resources if degraded(cluster, name)}
    assert told == {"one", "two"} - {stubborn}
    assert "may not list pods" in degraded(cluster, "two")["message"]


async def test_who_has_been_told_is_not_told_again_and_who_comes_later_is() -> None:
    cluster = Cluster("one")
    await tell(cluster)
    before = degraded(cluster, "one")
    cluster.resources["later"] = cluster.resource("later")
    await tell(cluster)
    assert degraded(cluster, "one") == before
    assert degraded(cluster, "later")["reason"] == "Forbidden"
    assert [event["regarding"]["name"] for event in cluster.events] == ["one", "later"]
