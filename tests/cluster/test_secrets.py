"""Secrets of a site: what is missing is said, and keys are exchanged under clients who talk."""

from __future__ import annotations

import re
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import jwt
import pytest
import websockets

from tests.cluster.cluster import Namespace
from tests.cluster.operator_bed import Gateway, heard_while, said, warnings
from tests.cluster.waiting import wait_until

SITE = Path(__file__).with_name("secret_site.py")
# Longer than one kubelet may lag behind another one.
SETTLE_SECONDS = 100
SETTINGS = f"""
from chat.settings import *

CHANNEL_LAYERS = {{"default": {{
    "BACKEND": "realtime_gateway.layer.RedisChannelLayer", "CONFIG": {{"key_settle_seconds": {SETTLE_SECONDS}}},
}}}}
ROOT_URLCONF = "secret_site"
"""
OLD_KEY, NEW_KEY = "old-key-of-16-characters", "new-key-of-16-characters"
OLD_JWT_KEY, NEW_JWT_KEY = "o" * 32, "n" * 32
METRICS = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8001/metrics', timeout=5).read().decode())"


def secret(name: str, **values: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


@pytest.fixture
def gateway(namespace: Namespace, operator: None) -> Gateway:
    """A gateway that wants two Secrets, neither of which is there."""
    data = {"secret_site.py": SITE.read_text(), "secret_settings.py": SETTINGS}
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "site"}, "data": data})
    made = Gateway(namespace, {"application": "secret_site:application", "settingsModule": "secret_settings"})
    made.spec |= {
        "auth": {
            "stack": "jwt",
            "revalidationPeriodSeconds": 0,
            "jwt": {"secretRef": {"name": "site-jwt", "key": "hmac"}},
        },
        "channelLayer": {**made.spec["channelLayer"], "encryptionKeysSecretRef": {"name": "site-keys", "key": "keys"}},
        "podTemplate": {
            "env": [
                {"name": "ALLOWED_HOSTS", "value": made.host},
                {"name": "PYTHONPATH", "value": "/srv/site:/srv/chat"},
            ],
            "volumes": [{"name": "site", "configMap": {"name": "site"}}],
            "volumeMounts": [{"name": "site", "mountPath": "/srv/site", "readOnly": True}],
        },
    }
    made.apply()
    return made


def token(key: str) -> str:
    return jwt.encode({"sub": "ann", "exp": time.time() + 3600}, key, "HS256")


def knock(gateway: Gateway, key: str) -> websockets.connect:
    connect = gateway.namespace.cluster.connect
    return connect(gateway.host, "/ws/", origin=f"http://{gateway.host}", subprotocols=["bearer", token(key)])


def metric(gateway: Gateway, line: str) -> list[float]:
    """A sample of each gateway pod."""
    labels = f"app.kubernetes.io/instance={gateway.name},app.kubernetes.io/component=gateway"
    pods = [pod["metadata"]["name"] for pod in gateway.namespace.get("pods", "-l", labels)]
    pages = [gateway.namespace.run(pod, "python", "-c", METRICS) for pod in pods]
    found = [re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE) for text in pages]
    return [float(match[1]) if match else -1.0 for match in found]


def exchanged(gateway: Gateway, times: int) -> bool:
    return all(seen >= times for seen in metric(gateway, 'realtime_gateway_secret_changes_total{result="used"}'))


def settled(gateway: Gateway) -> bool:
    return all(seen == 0 for seen in metric(gateway, "realtime_gateway_layer_key_settling"))


@pytest.mark.timeout(900, func_only=True)
async def test_what_is_missing_is_said_and_keys_are_exchanged_without_a_message_lost(gateway: Gateway) -> None:
    namespace = gateway.namespace
    message = gateway.wait_for("Degraded", "True", "SecretMissing", seconds=180)
    assert "There is no Secret site-jwt" in message or "There is no Secret site-keys" in message
    assert f"kubectl -n {namespace.name} create secret generic site-" in message
    assert warnings(namespace, "SecretMissing")
    namespace.apply(secret("site-jwt", hmac=OLD_JWT_KEY), secret("site-keys", other="x"))
    wait_until(lambda: "Secret site-keys has no key keys" in gateway.condition("Degraded")[2], 180)
    namespace.apply(secret("site-keys", keys=OLD_KEY))
    gateway.wait_for("Ready", "True", seconds=240)
    gateway.wait_for("Degraded", "False", seconds=60)

    def exchange() -> None:
        namespace.apply(secret("site-keys", keys=f"{NEW_KEY}\n{OLD_KEY}\n"), secret("site-jwt", hmac=NEW_JWT_KEY))
        wait_until(lambda: exchanged(gateway, 1), 180)
        wait_until(lambda: settled(gateway), SETTLE_SECONDS + 60)
        namespace.apply(secret("site-keys", keys=NEW_KEY))
        wait_until(lambda: exchanged(gateway, 2), 180)

    pods = {pod["metadata"]["uid"] for pod in namespace.get("pods")}
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(knock(gateway, OLD_JWT_KEY)) for _ in range(6)]
        await said(sockets, "before")
        await heard_while(exchange, sockets)
    assert metric(gateway, 'realtime_gateway_layer_dropped_total{reason="undecodable"}') == [0, 0]
    assert {pod["metadata"]["uid"] for pod in namespace.get("pods")} == pods, "no pod was replaced"

    with pytest.raises(websockets.InvalidStatus) as refused:
        await knock(gateway, OLD_JWT_KEY)
    assert refused.value.response.status_code == 401
    async with knock(gateway, NEW_JWT_KEY) as one, knock(gateway, NEW_JWT_KEY) as other:
        await said([one, other], "after")
