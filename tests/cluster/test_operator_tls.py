"""Redis by TLS only: from a Secret that is missing to certificates that are renewed while people chat."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import images
from tests.cluster.cluster import Namespace
from tests.cluster.operator_bed import Gateway, assert_calm, say, warnings
from tests.cluster.waiting import wait_until
from tests.support.authority import Authority

pytestmark = pytest.mark.usefixtures("operator")

SECRET = "chat-redis-tls"
# Kubernetes replaces files of a Secret about a minute later; the Sentinels follow each other in 15 s.
RENEWED_SECONDS = 240
# What a client without certificates sees of a server: the certificate that it shows.
SHOWN = "import ssl, sys; [print(ssl.get_server_certificate((name, int(sys.argv[1])))) for name in sys.argv[2:]]"


def issue(namespace: Namespace, authority: Authority, directory: Path) -> str:
    """Put a new certificate into the Secret, and return it."""
    names = [f"chat-{part}.{namespace.name}.svc" for part in ("redis", "cache")]
    files = authority.issue(directory, *names)
    data = {one.name: base64.b64encode(one.read_bytes()).decode() for one in files.iterdir()}
    namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": data})
    return (files / "tls.crt").read_text().strip()


def shown(gateway: Gateway) -> list[str]:
    """The certificate of each server, each Sentinel and the cache."""
    found = []
    for port, names in (
        ("6379", ["chat-redis-0-0", "chat-redis-0-1", "chat-redis-0-2", "chat-cache"]),
        ("26379", ["chat-sentinel-0", "chat-sentinel-1", "chat-sentinel-2"]),
    ):
        answer = gateway.namespace.try_kubectl(
            "exec", "deployment/chat", "--", "python", "-c", SHOWN, port, *names
        ).stdout
        found += [f"{part.strip()}\n{ssl.PEM_FOOTER}" for part in answer.split(ssl.PEM_FOOTER)[:-1]]
    return found


def started(gateway: Gateway, component: str) -> dict[str, Any]:
    """When each pod's container was started, and how often again."""
    pods = gateway.namespace.get("pods", "-l", f"app.kubernetes.io/component={component}")
    return {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}


@pytest.mark.timeout(900, func_only=True)
async def test_redis_speaks_tls_only_and_neither_a_lost_primary_nor_renewed_certificates_lose_a_message(
    namespace: Namespace, tmp_path: Path
) -> None:
    authority = Authority()
    managed = {"image": images.REDIS, "maxMemory": "32Mi", "tls": {"secretName": SECRET}}
    gateway = Gateway(namespace, {"redis": {"managed": managed}, "cache": {"enabled": True, "maxMemory": "16Mi"}})
    gateway.apply()
    message = gateway.wait_for("Degraded", "True", "TlsSecretUnusable")
    assert f"Secret {SECRET} does not exist. It needs the keys ca.crt, tls.crt, tls.key" in message
    assert f"a certificate for chat-redis.{namespace.name}.svc" in message
    assert warnings(namespace, "TlsSecretUnusable")
    assert_calm(gateway)
    first = issue(namespace, authority, tmp_path)
    gateway.wait_until_ready(300)  # the kubelet tries again to mount it, ever later
    assert gateway.condition("Degraded")[0] == "False"
    assert shown(gateway) == [first] * 7

    plain = "redis-cli -h 127.0.0.1 -p 6379 PING 2>&1 || true"
    assert "PONG" not in (answer := namespace.run("chat-redis-0-0", "sh", "-c", plain)), answer
    with_tls = "redis-cli --insecure --tls -h 127.0.0.1 -p 6379 PING 2>&1 || true"  # but without a certificate
    assert "PONG" not in (answer := namespace.run("chat-redis-0-0", "sh", "-c", with_tls)), answer
    url = namespace.run(pod_of(gateway), "sh", "-c", "echo $CACHE_URL").strip()
    asked = f"import redis; print(redis.Redis.from_url({url!r}).ping())"
    assert namespace.run(pod_of(gateway), "python", "-c", asked).strip() == "True"

    address = gateway.status["shards"][0]["primary"].partition(":")[0]
    services = {one["spec"]["clusterIP"]: one["metadata"]["name"] for one in namespace.get("services")}
    await gateway.chat(during=lambda: lose(gateway, services[address]))

    servers, gateways = started(gateway, "redis"), started(gateway, "gateway")
    sentinels = started(gateway, "sentinel")
    second = ""

    def renew() -> None:
        nonlocal second
        second = issue(namespace, authority, tmp_path)
        wait_until(lambda: shown(gateway) == [second] * 7, RENEWED_SECONDS)

    await gateway.chat(during=renew)
    assert second != first
    assert (started(gateway, "redis"), started(gateway, "gateway")) == (servers, gateways)  # nobody was replaced
    assert started(gateway, "sentinel") == {uid: count + 1 for uid, count in sentinels.items()}
    gateway.wait_until_ready(120)

    del managed["tls"]
    refused = namespace.try_kubectl("patch", "rtg/chat", "--type=json", "-p", REMOVE)
    assert "tls cannot be changed" in refused.stderr
    say("TLS: a Secret that came late, a lost primary and renewed certificates: no message lost")


REMOVE = '[{"op": "remove", "path": "/spec/redis/managed/tls"}]'


def pod_of(gateway: Gateway) -> str:
    pods = gateway.namespace.get("pods", "-l", "app.kubernetes.io/component=gateway")
    return str(pods[0]["metadata"]["name"])


def lose(gateway: Gateway, pod: str) -> None:
    """Take the primary's pod away at once, and wait until all is well again."""
    before = gateway.status["shards"][0]["primary"]
    gateway.namespace.kubectl("delete", f"pod/{pod}", "--grace-period=0", "--force")
    wait_until(lambda: gateway.status["shards"][0].get("primary", before) != before, 120)
    gateway.wait_until_ready(240)
