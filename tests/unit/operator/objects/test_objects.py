"""Each builder against its golden file. After an intended change: UPDATE_GOLDEN=1 pytest, and read the difference."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts.monitoring.dashboards import PAGES_OF_A_RESOURCE
from tests.support.operator_targets import target

from realtime_gateway.hosts import HostList
from realtime_operator.objects import (
    accounts,
    cache,
    disruption,
    exposure,
    gateway_pods,
    host_list,
    identity,
    monitoring,
    network_policy,
    pods,
    redis_config,
    redis_shard,
    sentinels,
    workers,
)
from realtime_operator.target import Target

GOLDEN = Path(__file__).parent / "golden"

PLAIN = target()
FULL = target(
    {
        "image": "example.com/chat:2",
        "settingsModule": "chat.settings",
        "replicas": 12,
        "redis": {
            "managed": {
                "shards": 2,
                "replicas": 1,
                "storage": {"size": "1Gi", "className": "fast"},
                "resources": {"requests": {"cpu": "0.1"}, "limits": {"memory": "524288Ki"}},
                "podTemplate": {"nodeSelector": {"disk": "ssd"}, "priorityClassName": "high"},
            }
        },
        "workers": [{"name": "receipts", "channels": ["receipts", "mail"], "replicas": 2}],
        "cache": {"enabled": True, "maxMemory": "64Mi"},
        "drain": {"acceptSeconds": 2, "periodSeconds": 60},
        "ingress": {"host": "chat.example.com", "className": "nginx", "preset": "nginx", "tlsSecretName": "chat-tls"},
        "service": {"annotations": {"example.com/team": "chat"}},
        "networkPolicy": {
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"role": "edge"}}}],
            "egressTo": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        },
        "deletionPolicy": "Retain",
        "podTemplate": {
            "labels": {"team": "chat", "app.kubernetes.io/instance": "not-yours"},
            "annotations": {"example.com/note": "yes"},
            "env": [{"name": "DEBUG", "value": "0"}, {"name": "REALTIME_GATEWAY_CONFIG", "value": "/elsewhere"}],
            "envFrom": [{"secretRef": {"name": "chat-env"}}],
            "volumes": [{"name": "media", "emptyDir": {}}],
            "volumeMounts": [{"name": "media", "mountPath": "/media"}],
            "imagePullSecrets": ["registry"],
            "resources": {"requests": {"cpu": "0.25", "memory": "65536Ki"}},
            "affinity": {"podAntiAffinity": {}},
        },
    }
)
ROUTED = target(
    {"httpRoute": {"parentRefs": [{"name": "edge", "sectionName": "https"}], "hostnames": ["c.example.com"]}}
)
EXTERNAL = target({"redis": {"external": {"hosts": [{"name": "a", "url": "redis://redis.example.com:6379/0"}]}}})
SECRETIVE = target(
    {
        "auth": {"stack": "jwt", "jwt": {"secretRef": {"name": "jwt", "key": "hmac"}}},
        "channelLayer": {"encryptionKeysSecretRef": {"name": "layer", "key": "keys"}},
        "redis": {
            "external": {
                "hosts": [{"name": "a", "host": "redis", "passwordSecretRef": {"name": "redis", "key": "password"}}]
            }
        },
        "workers": [{"name": "mail", "channels": ["mail"]}],
    }
)
MEASURED = target(
    {
        "workers": [{"name": "receipts", "channels": ["receipts"]}],
        "telemetry": {
            "prometheus": "serviceMonitor",
            "serviceMonitorLabels": {"release": "monitoring"},
            "dashboards": True,
            "samplingRatio": 0.5,
        },
    }
)
ENCRYPTED = target({"redis": {"managed": {"tls": {"secretName": "chat-redis-tls"}}}, "cache": {"enabled": True}})
PASSWORDS = {
    "data": {user: base64.b64encode(f"{user}-password".encode()).decode() for user in accounts.USERS},
    **accounts.new_passwords(PLAIN),
}


def _managed(of: Target) -> Any:
    return of.spec.redis.managed


OBJECTS: dict[str, Any] = {
    "passwords": accounts.new_passwords(PLAIN),
    "access-lists": accounts.access_lists(PLAIN, PASSWORDS),
    "redis-config": redis_config.redis_config(PLAIN, _managed(PLAIN)),
    "redis-config-with-storage": redis_config.redis_config(FULL, _managed(FULL)),
    "redis-config-with-tls": redis_config.redis_config(ENCRYPTED, _managed(ENCRYPTED)),
    "access-lists-with-tls": accounts.access_lists(ENCRYPTED, PASSWORDS),
    "redis-stateful-set-with-tls": redis_shard.stateful_set(ENCRYPTED, _managed(ENCRYPTED), 0),
    "sentinel-stateful-set-with-tls": sentinels.stateful_set(ENCRYPTED, _managed(ENCRYPTED)),
    "gateway-deployment-with-tls": gateway_pods.deployment(ENCRYPTED, 3),
    "cache-deployment-with-tls": cache.deployment(ENCRYPTED),
    "addresses": redis_config.addresses(PLAIN, {"chat-redis-0-0": "10.0.0.1", "chat-sentinel-0": "10.0.0.9"}),
    "redis-service": redis_shard.announce_service(PLAIN, 0, 1),
    "redis-service-again": redis_shard.announce_service(PLAIN, 0, 1, address="10.0.0.1"),
    "redis-stateful-set": redis_shard.stateful_set(PLAIN, _managed(PLAIN), 0),
    "redis-stateful-set-with-storage": redis_shard.stateful_set(FULL, _managed(FULL), 1),
    "sentinel-service": sentinels.announce_service(PLAIN, 2),
    "sentinel-stateful-set": sentinels.stateful_set(PLAIN, _managed(PLAIN)),
    "host-list": host_list.config_map(PLAIN, HostList(1, host_list.wanted_shards(FULL))),
    "host-list-external": host_list.config_map(EXTERNAL, HostList(1, host_list.wanted_shards(EXTERNAL))),
    "resource-file": gateway_pods.resource_file(FULL),
    "gateway-deployment": gateway_pods.deployment(PLAIN, 3),
    "gateway-deployment-full": gateway_pods.deployment(FULL, 12),
    "gateway-deployment-external": gateway_pods.deployment(EXTERNAL, 3),
    "gateway-deployment-with-secrets": gateway_pods.deployment(SECRETIVE, 3),
    "worker-deployment-with-secrets": workers.deployment(SECRETIVE, SECRETIVE.spec.workers[0]),
    "worker-deployment": workers.deployment(FULL, FULL.spec.workers[0]),
    "cache-deployment": cache.deployment(FULL),
    "cache-service": cache.service(FULL),
    "service-account": pods.service_account(PLAIN, "chat", identity.GATEWAY),
    "service": exposure.service(PLAIN),
    "service-annotated": exposure.service(FULL),
    "ingress": exposure.ingress(FULL, FULL.spec.ingress),
    "http-route": exposure.http_route(ROUTED, ROUTED.spec.http_route),
    "gateway-budget": disruption.budget(PLAIN, "chat", identity.GATEWAY),
    "shard-budget": disruption.budget(PLAIN, "chat-redis-0", identity.REDIS, shard="0"),
    "redis-policy": network_policy.redis(PLAIN),
    "cache-policy": network_policy.cache(FULL),
    "gateway-policy": network_policy.gateway(PLAIN),
    "gateway-policy-closed": network_policy.gateway(FULL),
    "worker-policy": network_policy.workers(FULL),
    "metrics-service": monitoring.service(MEASURED),
    "service-monitor": monitoring.service_monitor(MEASURED),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_is_as_its_golden_file_says(name: str) -> None:
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(yaml.safe_dump(OBJECTS[name], sort_keys=True, width=120))
    assert OBJECTS[name] == yaml.safe_load(path.read_text())


def test_every_golden_file_has_an_object() -> None:
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(OBJECTS)


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_goes_when_its_resource_goes(name: str) -> None:
    (reference,) = OBJECTS[name]["metadata"]["ownerReferences"]
    assert reference["kind"] == "RealtimeGateway"
    assert reference["controller"]
    assert not reference["blockOwnerDeletion"]


@pytest.mark.parametrize("name", [name for name in OBJECTS if "template" in OBJECTS[name].get("spec", {})])
def test_pods_keep_to_the_restricted_standard(name: str) -> None:
    pod = OBJECTS[name]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", [name for name in OBJECTS if "template" in OBJECTS[name].get("spec", {})])
def test_a_selector_picks_the_pods_of_its_template(name: str) -> None:
    spec = OBJECTS[name]["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("name", [name for name in OBJECTS if not name.startswith("access-lists")])
def test_no_password_stands_in_an_object(name: str) -> None:
    assert "-password" not in yaml.safe_dump(OBJECTS[name]).replace("redis-passwords", "")


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_secrets_of_the_site_are_files_and_no_environment(name: str) -> None:
    pod = OBJECTS[f"{name}-deployment-with-secrets"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert "valueFrom" not in str([one for one in container["env"] if one["name"] != "REALTIME_GATEWAY_PROCESS"])
    (volume,) = (one for one in pod["volumes"] if one["name"] == "secrets")
    assert {
        (source["secret"]["name"], item["key"], item["path"])
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    } == {("jwt", "hmac", "jwt-key"), ("layer", "keys", "encryption-keys"), ("redis", "password", "redis/a")}
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "secrets")
    assert mount["readOnly"]
    assert "subPath" not in mount, "what is mounted by subPath never changes"


def test_a_reshard_replaces_no_gateway_pod() -> None:
    more_shards = target({"redis": {"managed": {"shards": 3}}})
    assert gateway_pods.deployment(more_shards, 3) == gateway_pods.deployment(PLAIN, 3)


def test_more_replicas_replace_no_gateway_pod() -> None:
    more = target({"replicas": 9})
    assert gateway_pods.deployment(more, 3)["spec"]["template"] == gateway_pods.deployment(PLAIN, 3)["spec"]["template"]


def test_a_changed_drain_window_replaces_gateway_pods() -> None:
    slower = target({"drain": {"periodSeconds": 31}})
    before, after = (gateway_pods.deployment(one, 3)["spec"]["template"]["metadata"] for one in (PLAIN, slower))
    assert before["annotations"] != after["annotations"]


def test_one_more_shard_changes_no_pod_of_the_others() -> None:
    more = target({"redis": {"managed": {"shards": 3}}})
    assert redis_shard.stateful_set(more, _managed(more), 0) == redis_shard.stateful_set(PLAIN, _managed(PLAIN), 0)


def test_dashboards_begin_with_their_resource_and_keep_apart_from_those_of_others() -> None:
    made = [monitoring.dashboards(of) for of in (MEASURED, target(name="news"))]
    dashboards = [{name: json.loads(text) for name, text in one["data"].items()} for one in made]
    names = [name for one in dashboards for name in one]
    assert len(names) == len(set(names)) == 2 * len(PAGES_OF_A_RESOURCE)
    uids = [page["uid"] for one in dashboards for page in one.values()]
    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40  # Grafana's bound
    for page in dashboards[0].values():
        assert page["title"].endswith("(talk/chat)")
        chosen = {one["name"]: one["current"]["value"] for one in page["templating"]["list"] if "current" in one}
        assert (chosen["namespace"], chosen["job"]) == (["talk"], ["chat"])
    assert made[0]["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made[0]["metadata"]["name"] == "chat-dashboards"
    assert sum(len(text) for text in made[0]["data"].values()) < 1_000_000  # a ConfigMap's bound is 1 MiB
    (reference,) = made[0]["metadata"]["ownerReferences"]
    assert reference["kind"] == "RealtimeGateway"


def test_the_service_of_a_monitor_finds_gateway_and_worker_pods_and_nothing_else() -> None:
    selector = monitoring.service(MEASURED)["spec"]["selector"].items()
    [worker] = MEASURED.spec.workers
    measured = [gateway_pods.deployment(MEASURED, 1), workers.deployment(MEASURED, worker)]
    others = [redis_shard.stateful_set(MEASURED, _managed(MEASURED), 0), cache.deployment(MEASURED)]
    templates = [one["spec"]["template"] for one in (*measured, *others)]
    assert [selector <= one["metadata"]["labels"].items() for one in templates] == [True, True, False, False]
    ports = monitoring.service(MEASURED)["spec"]["ports"]
    for template in templates[:2]:
        assert not [name for name in template["metadata"]["annotations"] if name.startswith("prometheus.io/")]
        listed = [port["containerPort"] for port in template["spec"]["containers"][0]["ports"]]
        assert ports[0]["targetPort"] in listed
    service, monitor = monitoring.service(MEASURED), monitoring.service_monitor(MEASURED)
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "chat"
    assert monitor["spec"]["endpoints"][0]["port"] == ports[0]["name"]


def test_what_shows_metrics_replaces_no_pod() -> None:
    shown = {"dashboards": True, "serviceMonitorLabels": {"release": "monitoring"}}
    before, after = (target({"telemetry": {"samplingRatio": 0.5, **more}}) for more in ({}, shown))
    assert gateway_pods.deployment(after, 3) == gateway_pods.deployment(before, 3)
    assert gateway_pods.resource_file(after) == gateway_pods.resource_file(before)


def test_a_renewed_certificate_replaces_no_pod() -> None:
    """No object says anything of what is in the Secret."""
    for name in ("redis-stateful-set-with-tls", "sentinel-stateful-set-with-tls", "gateway-deployment-with-tls"):
        volumes = OBJECTS[name]["spec"]["template"]["spec"]["volumes"]
        (secret,) = (one["secret"] for one in volumes if one["name"] == "tls")
        assert secret["secretName"] == "chat-redis-tls"
        assert [item["key"] for item in secret["items"]] == ["ca.crt", "tls.crt", "tls.key"]


def test_no_server_listens_without_tls_where_it_is_asked_for() -> None:
    data = OBJECTS["redis-config-with-tls"]["data"]
    cache_command = OBJECTS["cache-deployment-with-tls"]["spec"]["template"]["spec"]["containers"][0]["command"][2]
    for settings, end in ((data["redis.conf"], "\n"), (data["sentinel.conf"], "\n"), (cache_command, "\\n")):
        assert f"{end}port 0{end}" in settings
        assert f"{end}tls-port " in settings
