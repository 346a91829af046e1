"""Resources beside and after each other: the same name twice, the longest name, one that is made again at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.cluster.cluster import Cluster, Namespace
from tests.cluster.operator_bed import Gateway, assert_calm, owner, place
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")

LONGEST_NAME = "longest".ljust(40, "x")
SILENCE_SECONDS = 0.5


@pytest.fixture
def neighbour(cluster: Cluster, namespace: Namespace) -> Iterator[Namespace]:
    made = Namespace.make(cluster, f"{namespace.name}-beside")
    yield made
    cluster.kubectl("delete", "namespace", made.name, "--wait=false")


async def assert_apart(first: Gateway, second: Gateway) -> None:
    """What is said in one's lobby is not heard in the other's."""
    connect = first.namespace.cluster.connect
    async with (
        connect(first.host, "/ws/chat/lobby/", origin=f"http://{first.host}") as here,
        connect(second.host, "/ws/chat/lobby/", origin=f"http://{second.host}") as there,
    ):
        await here.send(json.dumps({"message": "only here"}))
        async with asyncio.timeout(10):
            assert json.loads(await here.recv()) == {"message": "only here"}
        with suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_SECONDS):
                raise AssertionError(f"heard next door: {await there.recv()!r}")


def uids(gateway: Gateway) -> set[str]:
    return {one["metadata"]["uid"] for one in gateway.owned()}


async def assert_second_outlives_first(first: Gateway, second: Gateway) -> None:
    """Both serve, apart from each other, and the end of one changes nothing of the other."""
    first.apply()
    second.apply()
    first.wait_until_ready()
    second.wait_until_ready()
    await assert_apart(first, second)
    before = uids(second)
    first.namespace.kubectl("delete", f"realtimegateway/{first.name}")
    wait_until(lambda: not first.owned(), 90)
    assert uids(second) == before
    await second.chat()


async def test_the_same_name_in_two_namespaces_is_two_resources(namespace: Namespace, neighbour: Namespace) -> None:
    await assert_second_outlives_first(Gateway(namespace), Gateway(neighbour))


async def test_two_resources_in_one_namespace_do_not_touch_each_other(namespace: Namespace) -> None:
    await assert_second_outlives_first(Gateway(namespace), Gateway(namespace, name="chat-two"))


def test_a_resource_whose_name_meets_an_object_of_another_says_so_and_leaves_it(namespace: Namespace) -> None:
    first, second = Gateway(namespace), Gateway(namespace, name="chat-redis")
    first.apply()
    first.wait_until_ready()
    before = {place(one): one["metadata"]["resourceVersion"] for one in first.owned()}
    second.apply()
    message = second.wait_for("Degraded", "True", "NameTaken")
    assert "chat-redis exists and belongs to RealtimeGateway chat" in message
    assert_calm(second)
    after = {place(one): one["metadata"]["resourceVersion"] for one in first.owned()}
    fought_for = ("serviceaccount/chat-redis", "networkpolicy/chat-redis")
    assert {name: after[name] for name in fought_for} == {name: before[name] for name in fought_for}
    assert first.condition("Ready")[0] == "True"


async def test_a_resource_that_is_deleted_and_made_again_at_once_comes_up_as_a_new_one(namespace: Namespace) -> None:
    gateway = Gateway(namespace)
    gateway.apply()
    gateway.wait_until_ready()
    before = uids(gateway)
    namespace.kubectl("delete", "realtimegateway/chat", "--wait=false")
    gateway.apply()
    uid = namespace.get("realtimegateway/chat")["metadata"]["uid"]
    wait_until(lambda: not before & uids(gateway), 90)
    gateway.wait_until_ready()
    assert {owner(one)["uid"] for one in gateway.owned()} == {uid}
    await gateway.chat()


async def test_the_longest_name_that_is_allowed_works(namespace: Namespace) -> None:
    gateway = Gateway(namespace, name=LONGEST_NAME)
    gateway.apply()
    gateway.wait_until_ready()
    await gateway.chat()
