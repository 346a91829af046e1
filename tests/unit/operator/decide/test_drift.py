"""What counts as drift, and which foreign entries are taken out."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_operator.decide.drift import covers, foreign_entries, removal, stamped
from realtime_operator.target import FIELD_MANAGER

COVERED: dict[str, tuple[Any, Any, bool]] = {
    "what the server filled in does not count": ({"a": 1, "b": 2}, {"a": 1}, True),
    "a changed field counts": ({"a": 2}, {"a": 1}, False),
    "a field that is gone counts": ({}, {"a": 1}, False),
    "an empty list that the server dropped does not count": ({}, {"a": [], "b": {}, "c": ""}, True),
    "a list of texts is compared as it stands": ({"a": ["x", "y"]}, {"a": ["y", "x"]}, False),
    "a longer list of texts counts": ({"a": ["x", "y"]}, {"a": ["x"]}, False),
    "an entry that somebody added to a list with names does not count here": (
        {"env": [{"name": "X", "value": "1"}, {"name": "A", "value": "1"}]},
        {"env": [{"name": "A", "value": "1"}]},
        True,
    ),
    "a changed entry of a list with names counts": (
        {"env": [{"name": "A"}]},
        {"env": [{"name": "A", "value": "1"}]},
        False,
    ),
    "an entry that is gone counts": ({"env": []}, {"env": [{"name": "A"}]}, False),
    "what the server filled into an entry does not count": (
        {"ports": [{"name": "http", "port": 80, "nodePort": 30000}]},
        {"ports": [{"name": "http", "port": 80}]},
        True,
    ),
    "entries without a name are compared in order": (
        {"rules": [{"from": [1]}, {"to": [2]}]},
        {"rules": [{"to": [2]}, {"from": [1]}]},
        False,
    ),
    "a list where an object should be counts": ({"a": [1]}, {"a": {"b": 1}}, False),
    "a text where a list should be counts": ({"a": "xy"}, {"a": ["x", "y"]}, False),
}


@pytest.mark.parametrize("sentence", COVERED)
def test_drift(sentence: str) -> None:
    seen, wanted, expected = COVERED[sentence]
    assert covers(seen, wanted) is expected


def test_a_field_that_is_wanted_no_more_makes_another_stamp() -> None:
    manifest = {"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}}
    fewer = {"metadata": {"name": "a"}, "spec": {"x": 1}}
    assert not covers(stamped(manifest), stamped(fewer))
    assert covers(stamped(manifest), stamped(manifest))


def managed(fields: dict[str, Any], manager: str = "somebody", **more: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def deployment(*entries: dict[str, Any]) -> dict[str, Any]:
    containers = [{"name": "gateway", "env": [{"name": "A"}, {"name": "B"}, {"name": "C"}]}]
    return {
        "kind": "Deployment",
        "metadata": {"name": "chat", "resourceVersion": "7", "annotations": {"x": "y"}, "managedFields": list(entries)},
        "spec": {
            "replicas": 3,
            "template": {
                "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now", "mine/er": "1"}},
                "spec": {"containers": containers, "hostNetwork": True},
            },
        },
    }


def in_template(fields: dict[str, Any]) -> dict[str, Any]:
    return {"f:spec": {"f:template": fields}}


def env(*names: str) -> dict[str, Any]:
    entries = {f'k:{{"name":"{name}"}}': {".": {}, "f:name": {}} for name in names}
    return in_template({"f:spec": {"f:containers": {'k:{"name":"gateway"}': {"f:env": entries}}}})


def test_an_environment_variable_that_somebody_added_is_taken_out_of_a_pod_template() -> None:
    seen = deployment(managed(env("B")))
    assert "/spec/template/spec/containers/0/env/1" in foreign_entries(seen)


def test_later_entries_go_first_so_that_indices_stay_right() -> None:
    found = removal(deployment(managed(env("A", "C"))))
    assert found is not None
    paths = [operation["path"] for operation in found.patch if operation["op"] == "remove"]
    assert paths.index("/spec/template/spec/containers/0/env/2") < paths.index("/spec/template/spec/containers/0/env/0")
    assert found.patch[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}


def test_what_we_own_too_is_left() -> None:
    seen = deployment(managed(env("B")), managed(env("B"), FIELD_MANAGER))
    assert foreign_entries(seen) == ()


def test_a_leaf_that_somebody_set_in_a_pod_template_is_taken_out() -> None:
    seen = deployment(managed(in_template({"f:spec": {"f:hostNetwork": {}}})))
    assert foreign_entries(seen) == ("/spec/template/spec/hostNetwork",)


def test_a_restart_that_a_person_asked_for_is_left() -> None:
    fields = {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}, "f:mine/er": {}}}}
    assert foreign_entries(deployment(managed(in_template(fields)))) == (
        "/spec/template/metadata/annotations/mine~1er",
    )


def test_outside_of_the_pod_template_additions_stay() -> None:
    fields = {"f:metadata": {"f:annotations": {"f:x": {}}}, "f:spec": {"f:replicas": {}}}
    assert foreign_entries(deployment(managed(fields))) == ()


def test_what_controllers_write_into_the_status_is_no_addition() -> None:
    assert foreign_entries(deployment(managed(env("B"), subresource="status"))) == ()


def test_a_key_that_somebody_added_to_a_config_map_is_taken_out() -> None:
    entry = managed({"f:data": {"f:theirs": {}, "f:gone": {}}})
    metadata = {"name": "a", "resourceVersion": "1", "managedFields": [entry]}
    seen = {"kind": "ConfigMap", "metadata": metadata, "data": {"ours": "1", "theirs": "2"}}
    assert foreign_entries(seen) == ("/data/theirs",)


def test_a_key_that_somebody_added_to_a_service_stays() -> None:
    entry = managed({"f:spec": {"f:sessionAffinity": {}}})
    metadata = {"name": "a", "resourceVersion": "1", "managedFields": [entry]}
    seen = {"kind": "Service", "metadata": metadata, "spec": {"sessionAffinity": "None"}}
    assert foreign_entries(seen) == ()
