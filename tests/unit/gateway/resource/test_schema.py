"""The rules for structural schemas stand in Kubernetes' documentation of CustomResourceDefinitions."""

import re
from pathlib import Path

import pytest
import yaml

from realtime_gateway.resource.__main__ import GENERATORS, main
from realtime_gateway.resource.parsing import API_VERSION, KIND
from realtime_gateway.resource.schema import GROUP, VERSION, custom_resource_definition

ROOT = Path(__file__).parents[4]
CRD = custom_resource_definition()
[VERSION_SCHEMA] = CRD["spec"]["versions"]
RESOURCE = VERSION_SCHEMA["schema"]["openAPIV3Schema"]


def nodes(schema, path="", default=False):
    """Every part of a schema with its path, and whether it stands inside a section that has a default."""
    yield path, schema, default
    default = default or "default" in schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}", default)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


NODES = list(nodes(RESOURCE))
INSIDE = [(path, schema) for path, schema, _ in NODES if path.startswith((".spec", ".status"))]


@pytest.mark.parametrize("name", ["manifests/crd.yaml", "docs/resource.md"])
def test_the_committed_file_is_the_generated_one(name):
    assert main(["--check", str(ROOT / name)]) == 0, "run `make generate`"


def test_a_stale_file_is_named_and_writing_makes_it_current(tmp_path, capsys):
    path = tmp_path / "crd.yaml"
    path.write_text("old")
    assert main(["--check", str(path)]) == 1
    assert capsys.readouterr().err == f"{path} is not current: run `make generate`\n"
    assert main(["--write", str(path)]) == 0
    assert main(["--check", str(path)]) == 0


def test_a_file_of_another_kind_is_a_misuse(capsys):
    with pytest.raises(SystemExit):
        main(["--write", "a.txt"])
    assert "expected a name that ends with .yaml or .md" in capsys.readouterr().err


def test_the_yaml_is_the_definition():
    assert yaml.safe_load(GENERATORS[".yaml"]()) == CRD


def test_names_agree_with_those_of_the_parser():
    assert f"{GROUP}/{VERSION}" == API_VERSION
    assert CRD["spec"]["names"]["kind"] == KIND
    assert CRD["metadata"]["name"] == f"{CRD['spec']['names']['plural']}.{GROUP}"


def test_each_part_has_one_type_or_is_a_number_or_text():
    assert not [path for path, schema in INSIDE if ("type" in schema) == ("x-kubernetes-int-or-string" in schema)]
    assert not [
        path
        for path, schema in INSIDE
        if "x-kubernetes-int-or-string" in schema and schema["anyOf"] != [{"type": "integer"}, {"type": "string"}]
    ]


def test_each_list_is_bounded_and_says_what_tells_its_entries_apart():
    lists = [(path, schema) for path, schema in INSIDE if schema.get("type") == "array"]
    assert lists
    assert not [path for path, schema in lists if "maxItems" not in schema]
    assert not [path for path, schema in lists if schema["x-kubernetes-list-type"] not in {"atomic", "set", "map"}]
    for path, schema in lists:
        assert set(schema.get("x-kubernetes-list-map-keys", ())) <= set(schema["items"].get("required", ())), path


def test_each_text_and_mapping_is_bounded():
    for path, schema in INSIDE:
        if schema.get("type") == "string":
            assert {"maxLength", "enum", "format"} & schema.keys(), path
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, path
            assert "properties" not in schema, path


def test_each_default_keeps_its_schema():
    for path, schema in INSIDE:
        default = schema.get("default")
        if isinstance(default, str) and "pattern" in schema:
            assert re.fullmatch(schema["pattern"], default), path
        if isinstance(default, int | float) and "minimum" in schema:
            assert schema["minimum"] <= default <= schema["maximum"], path
        if isinstance(default, dict):
            assert set(schema.get("required", ())) <= default.keys() <= schema["properties"].keys(), path


def test_a_pattern_is_one_that_the_api_server_can_read():
    """RE2 has no look-around and no back references."""
    assert not [path for path, schema in INSIDE if re.search(r"\(\?[=!<]|\\[1-9]", schema.get("pattern", ""))]


def test_a_rule_never_meets_an_absent_field_inside_a_default():
    """The API server checks a default before it fills in what is inside: such a rule would make the CRD invalid."""
    for _, schema, default in NODES:
        for validation in schema.get("x-kubernetes-validations", ()) if default or "default" in schema else ():
            named = set(re.findall(r"self\.(\w+)", validation["rule"]))
            assert named <= set(re.findall(r"has\(self\.(\w+)\)", validation["rule"]))


def test_a_rule_names_only_fields_of_its_section():
    for path, schema in INSIDE:
        for validation in schema.get("x-kubernetes-validations", ()):
            named = re.findall(r"(?:self|oldSelf)\.(\w+)", validation["rule"])
            assert set(named) <= schema["properties"].keys(), path


def test_a_name_longer_than_children_may_be_is_refused_by_the_api_server():
    [rule] = RESOURCE["x-kubernetes-validations"]
    assert rule["rule"] == (
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && size(self.metadata.name) <= 40"
    )


def test_scale_and_status_are_subresources_whose_fields_exist():
    assert VERSION_SCHEMA["subresources"]["status"] == {}
    fields = {path for path, _ in INSIDE}
    assert set(VERSION_SCHEMA["subresources"]["scale"].values()) <= fields
    # Without a default, GET of the scale subresource answers 500.
    assert RESOURCE["properties"]["spec"]["properties"]["replicas"]["default"] == 3


def test_the_printed_columns_read_fields_that_exist():
    fields = {path for path, _ in INSIDE}
    for column in VERSION_SCHEMA["additionalPrinterColumns"]:
        path = re.sub(r"\[\?.*?\]", "[]", column["jsonPath"])
        assert path in fields or path.startswith(".metadata.")
