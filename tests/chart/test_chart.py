"""The chart, rendered by helm itself."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts.monitoring.dashboards import PAGES

from realtime_operator.kube.client import OPTIONAL, OWNED
from realtime_operator.objects.identity import OPERATOR_LABELS
from realtime_operator.options import read_options
from realtime_operator.target import FIELD_MANAGER
from tests.chart import rights
from tests.chart.rendering import CHART, NAMESPACE, RELEASE, ROOT, Object, helm, objects, only, refusal, render, verbs

OPERATOR = f"{RELEASE}-operator"


@pytest.fixture(scope="module")
def defaults() -> list[Object]:
    return render()


def container(found: list[Object]) -> Any:
    (one,) = only(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    return one


def environment(found: list[Object]) -> dict[str, str]:
    """Return the container's variables; a field of the pod as `<its path>`."""
    env = container(found)["env"]
    return {
        one["name"]: one["value"] if "value" in one else f"<{one['valueFrom']['fieldRef']['fieldPath']}>" for one in env
    }


def test_helm_finds_nothing_to_say() -> None:
    result = helm("lint", "--strict", str(CHART))
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_default_installs_these_objects(defaults: list[Object]) -> None:
    assert sorted((one["kind"], one["metadata"]["name"]) for one in defaults) == [
        ("ClusterRole", "realtime-gateway-edit"),
        ("ClusterRole", "realtime-gateway-operator"),
        ("ClusterRole", "realtime-gateway-view"),
        ("ClusterRoleBinding", "realtime-gateway-operator"),
        ("CustomResourceDefinition", "realtimegateways.realtime-gateway.io"),
        ("Deployment", "realtime-gateway-operator"),
        ("NetworkPolicy", "realtime-gateway-operator"),
        ("PodDisruptionBudget", "realtime-gateway-operator"),
        ("Role", "realtime-gateway-operator-lease"),
        ("RoleBinding", "realtime-gateway-operator-lease"),
        ("ServiceAccount", "realtime-gateway-operator"),
    ]


# --- the definition
def test_the_definition_is_the_generated_one() -> None:
    assert (CHART / "files" / "crd.yaml").read_bytes() == (ROOT / "manifests" / "crd.yaml").read_bytes(), (
        "run `make generate`"
    )


def test_the_definition_is_installed_as_generated_and_outlives_the_release(defaults: list[Object]) -> None:
    rendered = only(defaults, "CustomResourceDefinition")
    assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert rendered == yaml.safe_load((ROOT / "manifests" / "crd.yaml").read_text())


def test_the_definition_can_go_with_the_release_or_be_left_to_others() -> None:
    going = only(render({"crds": {"keep": False}}), "CustomResourceDefinition")
    assert "annotations" not in going["metadata"]
    assert "CustomResourceDefinition" not in {one["kind"] for one in render({"crds": {"install": False}})}


# --- rights
def test_the_operator_has_exactly_the_verbs_that_it_uses(defaults: list[Object]) -> None:
    assert verbs(only(defaults, "ClusterRole", OPERATOR)["rules"]) == rights.IN_SERVED_NAMESPACES
    assert verbs(only(defaults, "Role")["rules"]) == rights.IN_ITS_OWN_NAMESPACE


def test_every_kind_that_the_operator_makes_is_among_its_rights() -> None:
    made = {(kind.group if kind.group != "v1" else "", kind.plural) for kind in (OWNED | OPTIONAL).values()}
    assert {place for place, allowed in rights.IN_SERVED_NAMESPACES.items() if allowed == rights.OWNED} == made


def test_the_lease_that_may_be_renewed_is_the_one_that_the_operator_uses(defaults: list[Object]) -> None:
    _, renewing = only(defaults, "Role")["rules"]
    assert renewing["resourceNames"] == [FIELD_MANAGER]


def test_named_namespaces_get_a_role_each_and_the_cluster_none() -> None:
    found = render({"watchNamespaces": ["chat", "shop"]})
    roles = [one for one in found if one["kind"] == "Role" and one["metadata"]["name"] == OPERATOR]
    assert [one["metadata"]["namespace"] for one in roles] == ["chat", "shop"]
    for role in roles:
        assert verbs(role["rules"]) == rights.IN_SERVED_NAMESPACES
    assert not [one for one in found if one["kind"].startswith("ClusterRole") and one["metadata"]["name"] == OPERATOR]
    assert environment(found)["REALTIME_GATEWAY_OPERATOR_WATCH"] == "chat,shop"


def test_every_binding_is_of_the_operators_account(defaults: list[Object]) -> None:
    account = {"kind": "ServiceAccount", "name": OPERATOR, "namespace": NAMESPACE}
    for found in (defaults, render({"watchNamespaces": ["chat"]})):
        bindings = [one for one in found if one["kind"].endswith("RoleBinding")]
        assert len(bindings) == 2
        for binding in bindings:
            assert binding["subjects"] == [account]
            role = only(found, binding["roleRef"]["kind"], binding["roleRef"]["name"])
            assert role["metadata"].get("namespace") == binding["metadata"].get("namespace")


def test_people_who_may_edit_a_namespace_may_edit_its_gateways(defaults: list[Object]) -> None:
    view, edit = only(defaults, "ClusterRole", f"{RELEASE}-view"), only(defaults, "ClusterRole", f"{RELEASE}-edit")
    assert verbs(view["rules"])["realtime-gateway.io", "realtimegateways"] == {"get", "list", "watch"}
    assert verbs(edit["rules"])["realtime-gateway.io", "realtimegateways"] >= {"create", "update", "patch", "delete"}
    # The status is the operator's.
    assert ("realtime-gateway.io", "realtimegateways/status") not in verbs(edit["rules"])


def test_rights_and_accounts_can_be_made_by_somebody_else() -> None:
    theirs = {"rbac": {"create": False, "aggregate": False}, "serviceAccount": {"create": False, "name": "ours"}}
    found = render(theirs)
    assert {one["kind"] for one in found} == {
        "CustomResourceDefinition",
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
    }
    assert only(found, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "ours"


# --- the operator's pods
def test_the_operator_understands_its_environment(defaults: list[Object]) -> None:
    options = read_options(environment(defaults))
    assert options.namespace == "<metadata.namespace>"
    assert options.identity == "<metadata.name>"
    assert options.default_image == "realtime-gateway:0.1.0"
    assert options.watched == ()


def test_two_operators_run_on_different_nodes_and_one_at_a_time_is_evicted(defaults: list[Object]) -> None:
    deployment = only(defaults, "Deployment")["spec"]
    assert deployment["replicas"] == 2
    budget = only(defaults, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    labels = deployment["template"]["metadata"]["labels"]
    for selector in (deployment["selector"], budget["selector"], spread["labelSelector"]):
        assert selector["matchLabels"] == labels


def test_redis_lets_the_operators_pods_in(defaults: list[Object]) -> None:
    labels = only(defaults, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert OPERATOR_LABELS.items() <= labels.items()


def test_the_pod_keeps_to_the_restricted_standard(defaults: list[Object]) -> None:
    pod = only(defaults, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container(defaults)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {next(key for key in volume if key != "name") for volume in pod["volumes"]} == {"emptyDir"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_an_image_is_named_by_tag_or_digest() -> None:
    digest = f"sha256:{'a' * 64}"
    found = render({"image": {"repository": "r.example/op", "tag": "2"}, "gatewayImage": {"digest": digest}})
    assert container(found)["image"] == "r.example/op:2"
    assert environment(found)["REALTIME_GATEWAY_OPERATOR_IMAGE"] == f"realtime-gateway@{digest}"


def test_every_setting_of_the_pod_arrives() -> None:
    tolerations, affinity = [{"key": "infra", "operator": "Exists"}], {"podAntiAffinity": {}}
    values = {
        "replicas": 1,
        "imagePullSecrets": ["pull"],
        "resources": {"limits": {"memory": "1Gi"}},
        "podLabels": {"team": "infra"},
        "podAnnotations": {"note": "yes"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": tolerations,
        "affinity": affinity,
        "priorityClassName": "system-cluster-critical",
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
        "serviceAccount": {"annotations": {"role": "none"}},
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
    }
    found = render(values)
    deployment = only(found, "Deployment")["spec"]
    template = deployment["template"]
    assert deployment["replicas"] == 1
    assert template["metadata"]["labels"]["team"] == "infra"
    assert template["metadata"]["annotations"].items() >= {"note": "yes"}.items()
    assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert template["spec"]["nodeSelector"] == {"disk": "fast"}
    assert template["spec"]["tolerations"] == tolerations
    assert template["spec"]["affinity"] == affinity
    assert template["spec"]["priorityClassName"] == "system-cluster-critical"
    assert container(found)["resources"]["limits"] == {"memory": "1Gi"}
    assert environment(found)["HTTPS_PROXY"] == "http://proxy"
    assert only(found, "ServiceAccount")["metadata"]["annotations"] == {"role": "none"}
    assert not {"PodDisruptionBudget", "NetworkPolicy"} & {one["kind"] for one in found}


def test_prometheus_finds_the_operators_metrics_and_may_connect_to_nothing_else(defaults: list[Object]) -> None:
    [port] = container(defaults)["ports"]
    annotations = only(defaults, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])
    assert environment(defaults)["REALTIME_GATEWAY_OPERATOR_METRICS_PORT"] == str(port["containerPort"])
    [rule] = only(defaults, "NetworkPolicy")["spec"]["ingress"]
    assert rule == {"ports": [{"port": port["containerPort"], "protocol": "TCP"}]}


def test_only_named_pods_may_read_the_operators_metrics() -> None:
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    [rule] = only(render({"metrics": {"from": peers}}), "NetworkPolicy")["spec"]["ingress"]
    assert rule["from"] == peers
    assert [one["port"] for one in rule["ports"]] == [9000]


def test_without_metrics_nobody_may_connect_to_the_operator() -> None:
    found = render({"metrics": {"enabled": False}})
    assert "ports" not in container(found)
    assert "annotations" not in only(found, "Deployment")["spec"]["template"]["metadata"]
    assert "ingress" not in only(found, "NetworkPolicy")["spec"]
    assert "REALTIME_GATEWAY_OPERATOR_METRICS_PORT" not in environment(found)


def test_the_console_is_for_whoever_forwards_a_port_and_no_pod_may_connect_to_it(defaults: list[Object]) -> None:
    assert environment(defaults)["REALTIME_GATEWAY_OPERATOR_CONSOLE_PORT"] == "9001"
    assert [port["name"] for port in container(defaults)["ports"]] == ["metrics"]
    [rule] = only(defaults, "NetworkPolicy")["spec"]["ingress"]
    assert [one["port"] for one in rule["ports"]] == [9000]
    assert "REALTIME_GATEWAY_OPERATOR_CONSOLE_PORT" not in environment(render({"console": {"enabled": False}}))


def test_traces_of_the_operator_go_where_the_values_say() -> None:
    found = environment(render({"telemetry": {"otlpEndpoint": "http://collector:4318", "samplingRatio": 0.25}}))
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    assert (found["OTEL_TRACES_SAMPLER"], found["OTEL_TRACES_SAMPLER_ARG"]) == ("parentbased_traceidratio", "0.25")


def test_without_a_collector_the_operator_sends_no_traces(defaults: list[Object]) -> None:
    assert not [name for name in environment(defaults) if name.startswith("OTEL_")]


def test_the_users_annotations_and_labels_win_over_the_charts() -> None:
    annotations = {"prometheus.io/scrape": "false", "prometheus.io/path": ""}
    label = {"app.kubernetes.io/version": "ours"}
    values = {
        "podAnnotations": annotations,
        "dashboards": {"enabled": True, "labels": label},
        "prometheusRule": {"enabled": True, "labels": label},
    }
    found = render(values)
    given = only(found, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert given == {**annotations, "prometheus.io/port": "9000"}
    labelled = [one for one in found if one["kind"] in {"ConfigMap", "PrometheusRule"}]
    assert {one["metadata"]["labels"]["app.kubernetes.io/version"] for one in labelled} == {"ours"}


def test_yaml_in_which_a_key_stands_twice_is_refused() -> None:
    with pytest.raises(AssertionError, match="a more than once"):
        objects("metadata: {a: 1, b: 2, a: 3}")


def test_dashboards_are_config_maps_that_grafanas_sidecar_finds() -> None:
    values = {"dashboards": {"enabled": True, "namespace": "grafana"}}
    maps = [one for one in render(values) if one["kind"] == "ConfigMap"]
    assert len(maps) == len(list((CHART / "files" / "monitoring" / "dashboards").glob("*.json")))
    for one in maps:
        assert one["metadata"]["namespace"] == "grafana"
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        [(name, text)] = one["data"].items()
        assert json.loads(text) == json.loads((CHART / "files" / "monitoring" / "dashboards" / name).read_text())


def test_the_rules_are_a_prometheus_rule() -> None:
    rule = only(render({"prometheusRule": {"enabled": True, "labels": {"release": "monitoring"}}}), "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "monitoring"
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "monitoring" / "rules.yaml").read_text())


def test_every_object_says_whose_it_is(defaults: list[Object]) -> None:
    for one in defaults:
        if one["kind"] != "CustomResourceDefinition":
            assert (
                one["metadata"]["labels"].items()
                >= {
                    "app.kubernetes.io/name": FIELD_MANAGER,
                    "app.kubernetes.io/instance": RELEASE,
                    "app.kubernetes.io/managed-by": "Helm",
                }.items()
            )


# --- values
IMPOSSIBLE = [
    ({"serviceAccount": {"create": False}}, "would run without rights: name the account that exists."),
    ({"podLabels": {"app.kubernetes.io/name": "mine"}}, "podLabels sets app.kubernetes.io/name, by which"),
    (
        {"extraEnv": [{"name": "REALTIME_GATEWAY_OPERATOR_WATCH", "value": "x"}]},
        "extraEnv sets REALTIME_GATEWAY_OPERATOR_WATCH, which the chart sets itself: use watchNamespaces.",
    ),
    (
        {"extraEnv": [{"name": "REALTIME_GATEWAY_OPERATOR_METRICS_PORT", "value": "9100"}]},
        "which the chart sets itself: use metrics.enabled and metrics.port.",
    ),
    (
        {"extraEnv": [{"name": "REALTIME_GATEWAY_OPERATOR_CONSOLE_PORT", "value": "9100"}]},
        "which the chart sets itself: use console.enabled and console.port.",
    ),
    (
        {"extraEnv": [{"name": "REALTIME_GATEWAY_OPERATOR_NAMESPACE", "value": "x"}]},
        "extraEnv sets REALTIME_GATEWAY_OPERATOR_NAMESPACE, which the chart sets itself: leave it out.",
    ),
    ({"telemetry": {"samplingRatio": 0.5}}, "telemetry.otlpEndpoint is not, so no pass is traced"),
    ({"metrics": {"port": 9001}}, "metrics.port and console.port are the same"),
    (
        {
            "telemetry": {"otlpEndpoint": "http://collector:4318"},
            "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://other:4318"}],
        },
        "extraEnv sets OTEL_EXPORTER_OTLP_ENDPOINT, which the chart sets itself by telemetry",
    ),
    ({"telemetry": {"samplingRatio": 2}}, "samplingRatio"),
    ({"replica": 3}, "replica"),
    ({"replicas": "two"}, "replicas"),
    ({"replicas": -1}, "replicas"),
    ({"image": {"pullPolicy": "always"}}, "pullPolicy"),
    ({"image": {"digest": "sha256:1"}}, "digest"),
    ({"watchNamespaces": "chat"}, "watchNamespaces"),
    ({"watchNamespaces": ["chat", "chat"]}, "watchNamespaces"),
    ({"watchNamespaces": ["Chat"]}, "watchNamespaces"),
]


@pytest.mark.parametrize(("values", "sentence"), IMPOSSIBLE, ids=lambda one: json.dumps(one)[:40])
def test_impossible_values_are_refused_with_a_sentence(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(values)


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        yield (*path, key)
        if isinstance(value, dict) and path == () and key != "resources":
            yield from leaves(value, (key,))


def test_every_value_has_a_default_a_description_and_a_schema() -> None:
    text = (CHART / "values.yaml").read_text()
    values, schema = yaml.safe_load(text), json.loads((CHART / "values.schema.json").read_text())
    paths = set(leaves(values))
    assert paths == set(leaves(defaulted(schema))) - {("global",)}
    for path in paths:
        indent = "  " * (len(path) - 1)
        described = re.search(rf"^{indent}# .*\n{indent}{path[-1]}:", text, re.MULTILINE)
        grouped = isinstance(values[path[0]], dict) and len(path) == 1
        assert described or grouped, f"{'.'.join(path)} has no description above it"


def defaulted(schema: Any) -> Any:
    """Return a tree with the names that a schema has."""

    def resolved(node: Any) -> Any:
        return schema["definitions"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node

    def tree(node: Any) -> Any:
        return {name: tree(resolved(child)) for name, child in node.get("properties", {}).items()} or None

    return tree(schema)


# --- words
def notes(values: dict[str, Any], folder: Path) -> str:
    """Return what helm says after an installation, which it leaves out of what it renders."""
    chart = folder / "chart"
    shutil.copytree(CHART, chart, dirs_exist_ok=True)
    shutil.copy(CHART / "templates" / "NOTES.txt", chart / "notes.txt")
    (chart / "templates" / "notes.yaml").write_text('notes: {{ tpl (.Files.Get "notes.txt") . | toJson }}')
    where = ("-n", "chat-system", "--kube-version", "1.35.4", "--show-only", "templates/notes.yaml")
    result = helm("template", RELEASE, str(chart), *where, values=values)
    assert result.returncode == 0, result.stderr
    return str(yaml.safe_load(result.stdout)["notes"])


def test_the_notes_name_the_next_two_commands(tmp_path: Path) -> None:
    said = notes({}, tmp_path)
    assert "kubectl -n chat-system rollout status deployment/realtime-gateway-operator" in said
    assert "kubectl apply -f your-gateway.yaml" in said
    assert "serves all namespaces" in said
    assert "kubectl -n shop apply -f" in notes({"watchNamespaces": ["shop"]}, tmp_path)


def test_the_chart_carries_nothing_that_templates_do_not_use() -> None:
    monitoring = Path("files/monitoring")
    used = {Path("files/crd.yaml"), monitoring / "rules.yaml"}
    used |= {monitoring / "dashboards" / f"{page.uid}.json" for page in PAGES}
    assert {path.relative_to(CHART) for path in (CHART / "files").rglob("*") if path.is_file()} == used
