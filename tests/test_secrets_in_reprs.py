"""No object of ours shows a secret that it holds: tracebacks of test runners and error reporters print them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from realtime_gateway.auth.jwt import JwtRules
from realtime_gateway.auth.signing_keys import GivenKey, KeyInFile
from realtime_gateway.auth.token_sources import Token
from realtime_gateway.environment import read_environment
from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.layer.encryption_keys import KeyOrder, KeysFile
from realtime_gateway.layer.host_survey import Deployment
from realtime_gateway.layer.names import Names
from realtime_gateway.layer.options import read_options
from realtime_gateway.layer.serializers import Serializer
from realtime_gateway.local.plan import Plan
from realtime_gateway.resource.parsing import parse_resource
from realtime_gateway.settings import gateway_settings
from realtime_operator.plan import Apply
from realtime_operator.snapshot import ObjectKey, Snapshot
from tests.support.operator_targets import target

SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"
HOST = {"host": "h", "port": 1, "password": SECRET}
URL = f"redis://:{SECRET}@h:1"
HOSTS = HostList(1, (Shard("a", 1.0, HOST),))
EXTERNAL = {"redis": {"external": {"hosts": [{"name": "a", "url": URL}]}}}
OF_KUBERNETES = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s"},
    "data": {"k": base64.b64encode(SECRET.encode()).decode()},
}


def settings() -> Any:
    with override_settings(REALTIME_GATEWAY={"JWT": {"KEY": SECRET}}):
        return gateway_settings()


def resource() -> Any:
    document = {"apiVersion": "realtime-gateway.io/v1alpha1", "kind": "RealtimeGateway", "metadata": {"name": "chat"}}
    return parse_resource({**document, "spec": {"application": "chat.asgi:application", **EXTERNAL}})


ENVIRONMENT = {
    "REDIS_URL": URL,
    "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://:{SECRET}@c",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://:{SECRET}@c",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://:{SECRET}@c",
}
OBJECTS: dict[str, Callable[[Path], Any]] = {
    "the environment": lambda _: read_environment(ENVIRONMENT),
    "OpenTelemetry's variables": lambda _: read_environment(ENVIRONMENT).opentelemetry,
    "the settings": lambda _: settings(),
    "options of a layer": lambda _: read_options({"hosts": [HOST, URL], "symmetric_encryption_keys": [SECRET]}),
    "options with hidden names": lambda _: read_options({"hide_names": SECRET}),
    "a layer": lambda _: RedisChannelLayer(hosts=[HOST, URL], symmetric_encryption_keys=[SECRET]),
    "a shard": lambda _: HOSTS.shards[0],
    "a host list": lambda _: HOSTS,
    "a plan": lambda _: Plan(HOSTS, ()),
    "what signs lists": lambda _: Documents((SECRET,)),
    "a deployment": lambda _: Deployment(Names("p"), Documents((SECRET,)), read_environment(ENVIRONMENT)),
    "a serializer": lambda _: Serializer(symmetric_encryption_keys=[SECRET]),
    "keys in a file": lambda file: KeysFile(file, 1),
    "the order of keys": lambda _: KeyOrder((SECRET,), 0, 1),
    "rules of JWTs": lambda _: JwtRules(key=SECRET),
    "a key": lambda _: GivenKey(SECRET),
    "a key in a file": KeyInFile,
    "a token": lambda _: Token(SECRET),
    "a resource": lambda _: resource(),
    "a target": lambda _: target(EXTERNAL),
    "an action": lambda _: Apply(OF_KUBERNETES),
    "a snapshot": lambda _: Snapshot(objects={ObjectKey("Secret", "s"): OF_KUBERNETES}, hosts=HOSTS),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_its_words_show_no_secret(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    made = OBJECTS[name](tmp_path / "secret")
    if is_dataclass(made) and not isinstance(made, type) and name not in {"a deployment", "what signs lists"}:
        held = str(asdict(made))
        assert SECRET in held or OF_KUBERNETES["data"]["k"] in held, "it holds none, so nothing is proved"
    for shown in (repr(made), str(made), f"{made!r:.100000}"):
        assert SECRET not in shown
        assert OF_KUBERNETES["data"]["k"] not in shown
