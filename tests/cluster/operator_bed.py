"""The operator on the cluster, and a RealtimeGateway as tests ask for it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.cluster import images
from tests.cluster.cluster import Cluster, Namespace, Object, OwnCluster
from tests.cluster.waiting import wait_until

MANIFESTS = Path(__file__).parents[2] / "manifests"
CRD = "realtimegateways.realtime-gateway.io"
NAMESPACE = "realtime-gateway"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:realtime-gateway-operator"
OWNED = (
    "configmaps,deployments,ingresses,networkpolicies,poddisruptionbudgets,"
    "secrets,serviceaccounts,services,statefulsets"
)
# Earlier host lists are retired after it, so a test waits for it; a message dies of it, so it outlasts a failover on a
# machine that has more to do: more than five seconds.
EXPIRY_SECONDS = 20
# How often each talker says something, and how it ends.
PAUSE_SECONDS = 0.1
LAST_WORD = "goodbye"
# What is not in the way is made meanwhile, and each step of it changes the status: some twenty calls. What is refused
# is tried again after 2, 4, 8 … s; without that wait it would be hundreds.
CALM_SECONDS = 20.0
MOST_CALLS_IN_TROUBLE = 60
# Of one object that is refused: after 2, 4, 8 … s.
MOST_TRIES = 5
WRITES = {"create", "update", "patch", "delete"}


def install_operator(cluster: Cluster, operator_image: str, gateway_image: str) -> None:
    """Install the operator as the manifests do, with the images of this checkout."""
    rendered = cluster.kubectl("kustomize", str(MANIFESTS))
    for published, built in {
        "realtime-operator:0.1.0": operator_image,
        "realtime-gateway:0.1.0": gateway_image,
    }.items():
        assert f" {published}\n" in rendered
        rendered = rendered.replace(f" {published}\n", f" {built}\n")
    cluster.kubectl("apply", "--server-side", "-f", "-", given=rendered)
    deployment = "deployment/realtime-gateway-operator"
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", deployment, "--timeout=120s")


def uninstall_operator(cluster: Cluster) -> None:
    """Take away what ``install_operator`` brought, and every resource with it."""
    cluster.kubectl("delete", "crd", CRD, "--ignore-not-found")
    rendered = cluster.kubectl("kustomize", str(MANIFESTS))
    cluster.kubectl("delete", "--ignore-not-found", "-f", "-", given=rendered)


def operators(cluster: Cluster) -> list[Object]:
    """The operators' pods."""
    found: list[Object] = cluster.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=realtime-gateway-operator")
    return found


def operators_run(cluster: Cluster) -> bool:
    return all(pod["status"]["containerStatuses"][0]["ready"] for pod in operators(cluster))


def restarts(pod: Object) -> int:
    """How often a pod's container has been started again."""
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


class Gateway:
    """A RealtimeGateway in a namespace."""

    def __init__(self, namespace: Namespace, spec: Mapping[str, Any] | None = None, name: str = "chat") -> None:
        self.namespace = namespace
        self.name = name
        self.host = f"{name}.{namespace.name}.test"
        self.spec: dict[str, Any] = {
            "application": "chat.asgi:application",
            "settingsModule": "chat.settings",
            "replicas": 2,
            "drain": {"acceptSeconds": 1, "periodSeconds": 2},
            "channelLayer": {"expirySeconds": EXPIRY_SECONDS},
            "redis": {"managed": {"image": images.REDIS, "maxMemory": "32Mi"}},
            "ingress": {"host": self.host},
            "podTemplate": {"env": [{"name": "ALLOWED_HOSTS", "value": self.host}]},
            **(spec or {}),
        }

    def apply(self, **changes: Any) -> None:
        self.spec |= changes
        self.namespace.apply(
            {
                "apiVersion": "realtime-gateway.io/v1alpha1",
                "kind": "RealtimeGateway",
                "metadata": {"name": self.name, "namespace": self.namespace.name},
                "spec": self.spec,
            }
        )

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.namespace.get(f"realtimegateway/{self.name}").get("status", {})
        return status

    def condition(self, type: str) -> tuple[str, str, str]:
        """Status, reason and message of a condition."""
        for entry in self.status.get("conditions", ()):
            if entry["type"] == type:
                return entry["status"], entry["reason"], entry["message"]
        return "", "", ""

    def wait_for(self, type: str, status: str, reason: str = "", seconds: float = 120) -> str:
        """Wait for a condition and return its message."""

        def met() -> bool:
            found = self.condition(type)
            return found[0] == status and reason in ("", found[1])

        try:
            wait_until(met, seconds)
        except AssertionError as error:
            conditions = json.dumps(self.status.get("conditions"), indent=1)
            raise AssertionError(f"no {type}={status} {reason} within {seconds} s:\n{conditions}") from error
        return self.condition(type)[2]

    def wait_until_ready(self, seconds: float = 120) -> float:
        """Wait until all is well, and return the seconds that it took."""
        begun = time.monotonic()
        self.wait_for("Ready", "True", seconds=seconds)
        self.wait_for("RedisHealthy", "True", seconds=seconds)
        self.wait_for("HostsSynced", "True", seconds=seconds)
        self.wait_for("Progressing", "False", seconds=seconds)
        return time.monotonic() - begun

    def owned(self) -> list[Object]:
        """Everything in the namespace that belongs to it."""
        found = self.namespace.get(OWNED)
        return [one for one in found if owner(one).get("name") == self.name]

    async def chat(self, during: Callable[[], Any] | None = None, clients: int = 6) -> None:
        """Clients hear each other through the ingress; ``during`` happens while they stay connected and talk."""
        async with AsyncExitStack() as stack:
            connect = self.namespace.cluster.connect
            origin = {"origin": f"http://{self.host}"}
            sockets = [
                await stack.enter_async_context(connect(self.host, "/ws/chat/lobby/", **origin)) for _ in range(clients)
            ]
            await said(sockets, "before")
            if during is not None:
                await heard_while(during, sockets)


def calls(cluster: OwnCluster, namespace: str) -> list[Object]:
    """What the operator has asked for in a namespace, besides watching."""
    return [
        one
        for one in cluster.audited(ACCOUNT)
        if one["verb"] != "watch" and one.get("objectRef", {}).get("namespace") == namespace
    ]


def assert_calm(gateway: Gateway) -> None:
    """What stands in the way is not run against: the calls that the operator makes in some seconds are few."""
    cluster, namespace = gateway.namespace.cluster, gateway.namespace.name
    if not isinstance(cluster, OwnCluster):
        return  # another's cluster has no audit log for us
    before = len(calls(cluster, namespace))
    time.sleep(CALM_SECONDS)  # what is counted is what happens in this time
    made = calls(cluster, namespace)[before:]
    kinds = Counter(f"{one['verb']} {one['objectRef']['resource']}" for one in made)
    say(f"{len(made)} calls in {CALM_SECONDS:.0f} s of trouble: {dict(kinds)}")
    refused = Counter(
        (one["verb"], one["objectRef"]["resource"], one["objectRef"].get("name"))
        for one in made
        if one["responseStatus"]["code"] >= 400
    )
    assert max(refused.values(), default=0) <= MOST_TRIES, refused
    assert len(made) <= MOST_CALLS_IN_TROUBLE, kinds


def warnings(namespace: Namespace, reason: str) -> list[Object]:
    """The events that warn of a reason."""
    events = namespace.get("events.events.k8s.io")
    return [one for one in events if (one["type"], one.get("reason")) == ("Warning", reason)]


async def said(sockets: list[Any], text: str) -> None:
    """What the first says, all hear."""
    await sockets[0].send(json.dumps({"message": text}))
    async with asyncio.timeout(30):
        for socket in sockets:
            while json.loads(await socket.recv()) != {"message": text}:
                pass


async def heard_while(during: Callable[[], Any], sockets: list[Any]) -> None:
    """Two of them talk for as long as something takes; everybody hears each word of either once, and in order."""
    happening = asyncio.create_task(asyncio.to_thread(during))
    talkers = [asyncio.create_task(talk(socket, name, happening)) for socket, name in zip(sockets, "ab", strict=False)]
    listeners = [asyncio.create_task(listen(socket, len(talkers))) for socket in sockets]
    try:
        await happening
        spoken = [await talker for talker in talkers]
        async with asyncio.timeout(30):
            heard = [await listener for listener in listeners]
    finally:
        for task in (*talkers, *listeners):
            task.cancel()
        await asyncio.gather(*talkers, *listeners, return_exceptions=True)
    for number, words in enumerate(heard):
        for said_by_one in spoken:
            heard_of_one = [word for word in words if word[0] == said_by_one[0][0]]
            missing, more = set(said_by_one) - set(heard_of_one), len(heard_of_one) - len(set(heard_of_one))
            assert heard_of_one == said_by_one, f"client {number}: missing {sorted(missing)}, heard again {more}"
    say(f"{sum(map(len, spoken))} messages, each heard by {len(sockets)} clients once and in order")


async def talk(socket: Any, name: str, happening: asyncio.Task[Any]) -> list[str]:
    """Say numbered words until something has happened, and one last word; return them."""
    spoken = []
    while not happening.done():
        spoken.append(f"{name} {len(spoken)}")
        await socket.send(json.dumps({"message": spoken[-1]}))
        await asyncio.wait([happening], timeout=PAUSE_SECONDS)
    spoken.append(f"{name} {LAST_WORD}")
    await socket.send(json.dumps({"message": spoken[-1]}))
    return spoken


async def listen(socket: Any, talkers: int) -> list[str]:
    """Return everything that is heard until each talker has said the last word."""
    words: list[str] = []
    while sum(word.endswith(LAST_WORD) for word in words) < talkers:
        words.append(json.loads(await socket.recv())["message"])
    return words


def say(text: str) -> None:
    """Show a figure: the make words hand through what tests print, also when they pass."""
    sys.stdout.write(f"\n{text}\n")


def owner(one: Object) -> Mapping[str, Any]:
    references = one["metadata"].get("ownerReferences", ())
    return next((reference for reference in references if reference["kind"] == "RealtimeGateway"), {})


def place(one: Object) -> str:
    return f"{one['kind'].lower()}/{one['metadata']['name']}"
