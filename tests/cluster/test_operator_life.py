"""One resource from `kubectl apply` to `kubectl delete`: it comes up, is kept as it should be, changes and goes."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.cluster.cluster import Cluster, Namespace, Object, OwnCluster
from tests.cluster.operator_bed import ACCOUNT, Gateway, assert_calm, owner, place, say, warnings
from tests.cluster.waiting import wait_until

IDLE_SECONDS = 60
MOST_CALLS_A_MINUTE = 10
# A list of each of 12 kinds every five minutes, and a question for the one that is missing every other minute.
SELDOM_A_MINUTE = 12 / 5 + 1 / 2

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture(scope="module")
def gateway(cluster: Cluster, operator: None) -> Iterator[Gateway]:
    """One resource for the tests of this module, each of which leaves it in order."""
    namespace = Namespace.make(cluster, f"life-{time.time_ns() // 10**6}")
    cluster.kubectl("label", "namespace", namespace.name, "pod-security.kubernetes.io/enforce=restricted")
    made = Gateway(namespace)
    made.apply()
    took = made.wait_until_ready()
    say(f"apply → Ready: {took:.1f} s")
    yield made
    cluster.kubectl("delete", "namespace", namespace.name, "--wait=false")


def test_a_look_tells_the_state(gateway: Gateway) -> None:
    table = gateway.namespace.kubectl("get", "rtg")
    say(table)
    titles, line = (row.split() for row in table.splitlines())
    assert titles == ["NAME", "READY", "PHASE", "REPLICAS", "CONNECTIONS", "URL", "AGE"]
    assert line[:-1] == ["chat", "True", "Ready", "2", "0", f"ws://{gateway.host}"]
    wide = gateway.namespace.kubectl("get", "rtg", "--output=wide").splitlines()
    assert dict(zip(*(row.split() for row in wide), strict=True))["EPOCH"] == "1"


def test_an_idle_resource_costs_no_call(gateway: Gateway, own_cluster: OwnCluster) -> None:
    gateway.wait_until_ready()
    # What earlier tests left is on its way out, and the operator sees each object go.
    wait_until(
        lambda: not [one for one in own_cluster.get("namespaces") if "deletionTimestamp" in one["metadata"]], 180
    )
    # No client has come yet: the number of connections is in the status, and each change of it a call.
    begun = datetime.now(UTC)
    time.sleep(IDLE_SECONDS)  # nothing may happen, so there is no condition to wait for
    ended = begun + timedelta(seconds=IDLE_SECONDS)
    calls = [one for one in own_cluster.audited(ACCOUNT) if begun <= received(one) < ended and one["verb"] != "watch"]
    ours = [one for one in calls if one.get("objectRef", {}).get("namespace") == gateway.namespace.name]
    assert ours == [], "an idle resource costs nothing"
    leases = Counter(pod_of(one) for one in calls if one.get("objectRef", {}).get("resource") == "leases")
    rest = [one for one in calls if one.get("objectRef", {}).get("resource") != "leases"]
    assert [one for one in rest if not is_seldom(one)] == []
    say(f"calls of each operator in {IDLE_SECONDS} s: {dict(leases)}, and {SELDOM_A_MINUTE} of those that come seldom")
    assert len(leases) == 2
    assert max(leases.values()) + SELDOM_A_MINUTE <= MOST_CALLS_A_MINUTE


def received(entry: Object) -> datetime:
    return datetime.fromisoformat(entry["requestReceivedTimestamp"])


def pod_of(entry: Object) -> str:
    return str(entry["user"]["extra"]["authentication.kubernetes.io/pod-name"][0])


def is_seldom(entry: Object) -> bool:
    """Whether a call comes once in minutes: a list of a kind, or the question for a kind that is not there."""
    return entry["verb"] == "list" or entry["requestURI"].startswith("/apis/gateway.networking.k8s.io/")


@pytest.mark.core
async def test_clients_chat_through_the_ingress(gateway: Gateway) -> None:
    await gateway.chat()
    assert gateway.status["url"] == f"ws://{gateway.host}"
    assert gateway.status["shards"][0]["healthy"]


def test_a_finalizer_or_an_annotation_of_ours_is_never_put_on_the_users_object(gateway: Gateway) -> None:
    metadata = gateway.namespace.get("realtimegateway/chat")["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata


@pytest.mark.core
def test_an_object_that_is_deleted_comes_back(gateway: Gateway) -> None:
    before = gateway.namespace.get("service/chat")
    gateway.namespace.kubectl("delete", "service/chat", "--wait=false")
    time_until_made_again(gateway, "service/chat", before)
    gateway.wait_until_ready()


def test_every_object_that_is_deleted_comes_back(gateway: Gateway) -> None:
    before = {place(one): one for one in gateway.owned()}
    took = []
    for name, one in before.items():
        gateway.namespace.kubectl("delete", name, "--wait=false")
        took.append(time_until_made_again(gateway, name, one))
    say(f"{len(took)} objects came back; median {statistics.median(took):.2f} s with kubectl's own time")
    gateway.wait_until_ready()
    after = {place(one): one for one in gateway.owned()}
    assert set(after) == set(before)
    for name, one in after.items():
        if name.startswith("service/") and name != "service/chat":
            assert one["spec"]["clusterIP"] == before[name]["spec"]["clusterIP"], "servers announce this address"
        if name.startswith("secret/"):
            assert one["data"] == before[name]["data"], "servers know only these passwords"


def time_until_made_again(gateway: Gateway, name: str, before: Object) -> float:
    def made_again() -> bool:
        result = gateway.namespace.try_kubectl("get", name, "-o", "json")
        return result.returncode == 0 and json.loads(result.stdout)["metadata"]["uid"] != before["metadata"]["uid"]

    begun = time.monotonic()
    wait_until(made_again, 60)
    return time.monotonic() - begun


CHANGES: dict[str, tuple[str, str, str]] = {
    "a changed field": ("deployment/chat", '{"spec":{"replicas":1}}', "{.spec.replicas}"),
    "a key that somebody added to a ConfigMap": (
        "configmap/chat-resource",
        '{"data":{"theirs":"x"}}',
        "{.data.theirs}",
    ),
    "a key that somebody added to a Secret": (
        "secret/chat-redis-accounts",
        '{"data":{"theirs":"eA=="}}',
        "{.data.theirs}",
    ),
    "a peer that somebody let in": (
        "networkpolicy/chat-redis",
        '{"spec":{"ingress":[{"from":[{"namespaceSelector":{}}]}]}}',
        "{.spec.ingress[0].from}",
    ),
    "a label that somebody took away": (
        "service/chat",
        '{"metadata":{"labels":{"app.kubernetes.io/name":null}}}',
        "{.metadata.labels}",
    ),
    "an environment variable that somebody added": (
        "deployment/chat",
        '{"spec":{"template":{"spec":{"containers":[{"name":"gateway","env":[{"name":"THEIRS","value":"x"}]}]}}}}',
        "{.spec.template.spec.containers[0].env[*].name}",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_somebody_changes_is_set_right(gateway: Gateway, what: str) -> None:
    name, patch, field = CHANGES[what]

    def value() -> str:
        return gateway.namespace.kubectl("get", name, "-o", f"jsonpath={field}")

    before = value()
    gateway.namespace.kubectl("patch", name, "--type=strategic", "-p", patch)
    wait_until(lambda: value() == before, 20)
    gateway.wait_until_ready()


def test_what_somebody_adds_elsewhere_stays(gateway: Gateway) -> None:
    gateway.namespace.kubectl("annotate", "service/chat", "example.com/theirs=yes")
    gateway.namespace.kubectl("delete", "configmap/chat-resource", "--wait=false")  # a pass happens after that
    wait_until(lambda: gateway.namespace.try_kubectl("get", "configmap/chat-resource").returncode == 0, 20)
    annotations = gateway.namespace.get("service/chat")["metadata"]["annotations"]
    assert annotations["example.com/theirs"] == "yes"


def pods(gateway: Gateway) -> list[Object]:
    found: list[Object] = gateway.namespace.get("pods", "-l", "app.kubernetes.io/component in (redis,sentinel)")
    return found


@pytest.mark.timeout(600, func_only=True)
async def test_each_redis_and_sentinel_pod_may_go_while_people_chat(gateway: Gateway) -> None:
    for one in pods(gateway):
        await gateway.chat(during=lambda one=one: lose(gateway, one))  # type: ignore[misc] # the loop's own pod


@pytest.mark.core
async def test_a_primary_may_go_while_people_chat(gateway: Gateway) -> None:
    address = gateway.status["shards"][0]["primary"].partition(":")[0]
    services = {one["spec"]["clusterIP"]: one["metadata"]["name"] for one in gateway.namespace.get("services")}
    (primary,) = (pod for pod in pods(gateway) if pod["metadata"]["name"] == services[address])
    await gateway.chat(during=lambda: lose(gateway, primary))


def lose(gateway: Gateway, pod: Object) -> None:
    name = pod["metadata"]["name"]
    gateway.namespace.kubectl("delete", "pod", name, "--wait=false")

    def back() -> bool:
        result = gateway.namespace.try_kubectl("get", "pod", name, "-o", "json")
        if result.returncode:
            return False
        seen = json.loads(result.stdout)
        conditions = {entry["type"]: entry["status"] for entry in seen["status"].get("conditions", ())}
        return seen["metadata"]["uid"] != pod["metadata"]["uid"] and conditions.get("Ready") == "True"

    wait_until(back, 90)
    wait_until(lambda: all(shard["healthy"] for shard in gateway.status["shards"]), 90)
    gateway.wait_until_ready()


@pytest.mark.core
@pytest.mark.timeout(600, func_only=True)
async def test_a_shard_comes_and_goes_while_people_chat(gateway: Gateway) -> None:
    def change(count: int) -> None:
        redis = gateway.spec["redis"]["managed"]
        gateway.apply(redis={"managed": {**redis, "shards": count}})
        wait_until(lambda: len(gateway.status["hosts"]["shards"]) == count, 90)
        gateway.wait_until_ready()

    def reshard() -> None:
        change(2)
        change(1)

    epoch = gateway.status["hosts"]["epoch"]
    await gateway.chat(during=reshard)
    assert gateway.status["hosts"]["epoch"] == epoch + 4, "each change is an epoch, and each retirement"
    wait_until(lambda: not [one for one in gateway.owned() if "chat-redis-1" in one["metadata"]["name"]], 60)


@pytest.mark.timeout(600, func_only=True)
async def test_redis_is_upgraded_pod_by_pod_while_people_chat(gateway: Gateway) -> None:
    before = {one["metadata"]["uid"] for one in pods(gateway)}

    def upgrade() -> None:
        redis = gateway.spec["redis"]["managed"]
        gateway.apply(redis={"managed": {**redis, "maxMemory": "33Mi"}})
        wait_until(lambda: not before & {one["metadata"]["uid"] for one in pods(gateway)}, 180)
        gateway.wait_until_ready()

    await gateway.chat(during=upgrade)


def test_a_paused_resource_is_left_alone(gateway: Gateway) -> None:
    gateway.apply(suspend=True)
    gateway.wait_for("Paused", "True")
    gateway.namespace.kubectl("delete", "service/chat")
    gateway.namespace.kubectl("annotate", "realtimegateway/chat", "example.com/look=again")  # wakes the operator
    time.sleep(2)  # nothing may happen, so there is no condition to wait for
    assert gateway.namespace.try_kubectl("get", "service/chat").returncode != 0
    gateway.apply(suspend=False)
    wait_until(lambda: gateway.namespace.try_kubectl("get", "service/chat").returncode == 0, 20)
    gateway.wait_until_ready()


def test_an_image_that_cannot_be_had_is_said_and_mended(gateway: Gateway) -> None:
    gateway.apply(image="realtime-gateway.test/no-such-image:1")
    message = gateway.wait_for("Degraded", "True", "ImagePull")
    assert "chat-" in message
    assert gateway.condition("Ready")[0] == "True", "the pods of before still serve"
    del gateway.spec["image"]
    gateway.apply()
    gateway.wait_for("Degraded", "False")
    gateway.wait_until_ready()


def test_an_application_that_does_not_import_is_said(gateway: Gateway) -> None:
    gateway.apply(application="chat.nothing:application")
    message = gateway.wait_for("Degraded", "True", "ApplicationImport", seconds=180)
    assert "chat.nothing" in message
    assert warnings(gateway.namespace, "ApplicationImport")
    assert_calm(gateway)
    gateway.apply(application="chat.asgi:application")
    gateway.wait_for("Degraded", "False", seconds=180)
    gateway.wait_until_ready()


def test_a_field_that_another_manager_applies_is_a_conflict_and_not_a_fight(gateway: Gateway) -> None:
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "chat", "namespace": gateway.namespace.name},
        "spec": {"replicas": 1},
    }
    gateway.namespace.kubectl(
        "apply", "--server-side", "--force-conflicts", "--field-manager=argo", "-f", "-", given=json.dumps(theirs)
    )
    assert "argo" in gateway.wait_for("Degraded", "True", "FieldConflict")
    assert warnings(gateway.namespace, "FieldConflict")
    assert_calm(gateway)
    assert gateway.namespace.get("deployment/chat")["spec"]["replicas"] == 1
    theirs["spec"] = {}
    gateway.namespace.kubectl("apply", "--server-side", "--field-manager=argo", "-f", "-", given=json.dumps(theirs))
    gateway.wait_for("Degraded", "False")
    gateway.wait_until_ready()


def test_the_leader_may_go(gateway: Gateway, cluster: Cluster) -> None:
    def lease() -> str:
        spec = cluster.get("-n", "realtime-gateway", "lease/realtime-gateway-operator")["spec"]
        return str(spec.get("holderIdentity", ""))

    leader = lease()
    cluster.kubectl("-n", "realtime-gateway", "delete", "pod", leader, "--wait=false")
    wait_until(lambda: lease() not in ("", leader), 60)
    gateway.namespace.kubectl("delete", "service/chat")
    wait_until(lambda: gateway.namespace.try_kubectl("get", "service/chat").returncode == 0, 60)
    gateway.wait_until_ready()


@pytest.mark.core
def test_nothing_is_left_when_a_resource_is_deleted(gateway: Gateway) -> None:
    gateway.namespace.kubectl("delete", "realtimegateway/chat")

    def rest() -> list[Object]:
        return [one for one in gateway.namespace.get("all,cm,secret,netpol,pdb,ing,sa") if owner(one) or belongs(one)]

    wait_until(lambda: not rest(), 90)


def belongs(one: Object) -> bool:
    return bool(one["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == "chat")


def test_the_operator_had_every_right_that_it_needed(gateway: Gateway, own_cluster: OwnCluster) -> None:
    refused = [
        (entry["verb"], entry["objectRef"].get("resource"), entry["objectRef"].get("subresource"))
        for entry in own_cluster.audited(ACCOUNT)
        if entry.get("objectRef", {}).get("namespace") == gateway.namespace.name
        and entry["annotations"].get("authorization.k8s.io/decision") == "forbid"
    ]
    assert refused == []
