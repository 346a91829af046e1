"""Who may connect through the ingress, and as whom: origins and login sessions."""

from __future__ import annotations

import asyncio
import http.client
import json
from pathlib import Path

import pytest
import websockets

from tests.cluster.cluster import Cluster, Namespace
from tests.cluster.operator_bed import Gateway, warnings

SITE = Path(__file__).with_name("login_site.py")
SETTINGS = """
from chat.settings import *

SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
AUTHENTICATION_BACKENDS = ["login_site.Accounts"]
ROOT_URLCONF = "login_site"
"""
CONNECTIONS = 12


@pytest.fixture
def gateway(namespace: Namespace, operator: None) -> Gateway:
    """A gateway that serves the login site from a ConfigMap."""
    data = {"login_site.py": SITE.read_text(), "login_settings.py": SETTINGS}
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "site"}, "data": data})
    made = Gateway(namespace, {"application": "login_site:application", "settingsModule": "login_settings"})
    made.spec["podTemplate"] = {
        "env": [{"name": "ALLOWED_HOSTS", "value": made.host}, {"name": "PYTHONPATH", "value": "/srv/site:/srv/chat"}],
        "volumes": [{"name": "site", "configMap": {"name": "site"}}],
        "volumeMounts": [{"name": "site", "mountPath": "/srv/site", "readOnly": True}],
    }
    made.apply()
    made.wait_until_ready()
    return made


def log_in(cluster: Cluster, host: str) -> str:
    """Log in through the ingress and return the cookies, of which one is the session."""
    connection = http.client.HTTPConnection(host)
    connection.sock = cluster.dial_ingress()
    try:
        connection.request("GET", "/login/")
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return "; ".join(cookie.partition(";")[0] for cookie in answer.headers.get_all("Set-Cookie", []))
    finally:
        connection.close()


async def who(gateway: Gateway, headers: dict[str, str]) -> dict[str, str]:
    """Connect as a browser of the site would, and return what the socket says."""
    origin = f"http://{gateway.host}"
    async with gateway.namespace.cluster.connect(
        gateway.host, "/ws/", origin=origin, additional_headers=headers
    ) as socket:
        await socket.send('"who?"')
        async with asyncio.timeout(10):
            answer: dict[str, str] = json.loads(await socket.recv())
        return answer


async def test_a_login_holds_on_every_pod_and_another_sites_page_is_refused(cluster: Cluster, gateway: Gateway) -> None:
    cookie = {"Cookie": log_in(cluster, gateway.host)}
    answers = [await who(gateway, cookie) for _ in range(CONNECTIONS)]
    assert {answer["user"] for answer in answers} == {"ann"}
    assert len({answer["pod"] for answer in answers}) == 2
    assert (await who(gateway, {}))["user"] == ""

    with pytest.raises(websockets.InvalidStatus) as refused:
        await cluster.connect(gateway.host, "/ws/", origin="http://elsewhere.test", additional_headers=cookie)
    assert refused.value.response.status_code == 403


async def test_a_stack_that_an_application_written_by_hand_does_not_heed_is_said(gateway: Gateway) -> None:
    assert gateway.condition("Degraded")[0] == "False", "no stack is asked for"
    gateway.apply(auth={"stack": "none"})
    gateway.wait_for("Progressing", "True", "RollingOut")
    gateway.wait_until_ready()
    await who(gateway, {})  # a process says what it is when its layer is used first
    message = gateway.wait_for("Degraded", "True", "AuthNotApplied")
    assert "gateway_application" in message
    assert warnings(gateway.namespace, "AuthNotApplied")
    del gateway.spec["auth"]
    gateway.apply()
    gateway.wait_for("Degraded", "False")
