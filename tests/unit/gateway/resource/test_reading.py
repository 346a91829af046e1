import contextlib
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_gateway.errors import ResourceInvalid
from realtime_gateway.resource import load_resource
from realtime_gateway.resource.reading import parse_content, parse_json, parse_yaml, read_content

ROOT = Path(__file__).parents[4]

GOOD = """\
apiVersion: realtime-gateway.io/v1alpha1
kind: RealtimeGateway
metadata:
  name: chat
spec:
  application: chat.asgi:application
"""


def lines(text, read=parse_yaml, source="gateway.yaml"):
    with pytest.raises(ResourceInvalid) as caught:
        read(text, source)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("manifests/samples/*.yaml")) + sorted(ROOT.glob("examples/*/gateway.yaml"))
)
def test_each_resource_of_this_repository_is_valid(path):
    assert load_resource(path).name


def test_what_was_read_once_is_parsed_whatever_the_file_holds_by_then(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD)
    content = read_content(path)
    path.write_text("something: else")
    assert parse_content(content, path) == parse_yaml(GOOD, str(path))


def test_a_problem_names_file_line_and_field():
    text = GOOD + "  websocket:\n    maxConection: 5\n  replicas: three\n"
    assert lines(text) == [
        "gateway.yaml:8: spec.websocket.maxConection: unknown field; did you mean maxConnections?",
        'gateway.yaml:9: spec.replicas: expected a whole number from 0 to 1000, not "three"',
    ]


def test_a_missing_field_is_reported_at_the_section_that_lacks_it():
    text = GOOD + "  workers:\n  - name: a\n    channels: [b]\n  - name: c\n"
    assert lines(text) == ["gateway.yaml:10: spec.workers[1].channels: missing. The channels that it consumes."]


def test_a_field_twice_is_a_problem_beside_the_others():
    text = GOOD + "  replicas: 1\n  drain: 5\n  replicas: 2\n"
    assert lines(text) == [
        "gateway.yaml:7: spec.replicas: stands twice, again on line 9",
        "gateway.yaml:8: spec.drain: expected an object, not 5",
    ]


def test_the_message_of_the_error_lists_every_problem(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD + "  replicas: x\n  drain: 5\n")
    with pytest.raises(ResourceInvalid) as caught:
        load_resource(path)
    assert str(caught.value).splitlines() == [
        "this resource cannot be used:",
        f'{path}:7: spec.replicas: expected a whole number from 0 to 1000, not "x"',
        f"{path}:8: spec.drain: expected an object, not 5",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1", "gateway.yaml:1: is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: b: c", "gateway.yaml:1: is not YAML: mapping values are not allowed here"),
        ("\ta: 1", "gateway.yaml:1: is not YAML: found character '\\t' that cannot start any token"),
        ("a: \0", "gateway.yaml: is not YAML: unacceptable character #x0000: special characters are not allowed"),
        ("", "gateway.yaml: holds no documents of kind RealtimeGateway; one is expected"),
        ("---\n---\n", "gateway.yaml: holds no documents of kind RealtimeGateway; one is expected"),
        (f"{GOOD}---\n{GOOD}", "gateway.yaml: holds 2 documents of kind RealtimeGateway; one is expected"),
        ("[" * 5000, "gateway.yaml: is nested too deeply"),
        ("a: &a [*a]", "gateway.yaml:1: a[0]: an alias that contains itself"),
    ],
)
def test_text_that_is_no_resource_is_refused_in_one_line(text, problem):
    assert problem in lines(text)


def test_a_file_for_kubectl_may_hold_other_documents():
    text = f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: web}}\n---\n{GOOD}"
    assert parse_yaml(text, "all.yaml").name == "chat"


def test_aliases_and_merges_are_followed():
    text = GOOD + "  drain: &d {periodSeconds: 7}\n  cache: {enabled: yes}\n"
    text += "  podTemplate: {labels: &l {a: x}, annotations: {<<: *l, b: y}}\n"
    spec = parse_yaml(text, "gateway.yaml").spec
    assert spec.drain.period_seconds == 7
    assert spec.cache.enabled is True
    assert spec.pod_template is not None
    assert spec.pod_template.annotations == {"a": "x", "b": "y"}


def test_a_small_file_that_stands_for_a_huge_document_is_refused_quickly():
    text = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    assert any("more than 50000 values" in line for line in lines(text))


@pytest.mark.parametrize("tag", ["python/name:os.system", "binary", "set"])
def test_tags_of_other_kinds_are_refused(tag):
    assert lines(GOOD + f"  image: !!{tag} x\n") == [f"gateway.yaml:7: spec.image: the tag {tag} is not supported"]


@pytest.mark.parametrize("text", ["2026-01-01", "1:30", "010", "1_000", "0x10", ".inf", "1e5000"])
def test_what_only_old_yaml_takes_for_a_number_or_a_date_is_text(text):
    assert parse_yaml(GOOD + f"  channelLayer: {{prefix: {text}}}\n", "a").spec.channel_layer.prefix == text


def test_json_needs_no_yaml(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "realtime_gateway.resource.yaml_documents", raising=False)
    body = {
        "apiVersion": "realtime-gateway.io/v1alpha1",
        "kind": "RealtimeGateway",
        "metadata": {"name": "chat"},
        "spec": {"application": "a:b"},
    }
    path = tmp_path / "gateway.json"
    path.write_text(json.dumps(body))
    assert load_resource(path).name == "chat"
    assert "gateway.json: a stands twice in one object" in lines('{"a": 1, "a": 2}', parse_json, "gateway.json")
    with pytest.raises(ResourceInvalid, match=r"pip install 'realtime-gateway\[local\]'"):
        parse_yaml(GOOD, "gateway.yaml")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{\n"a" 1}', "gateway.json:2: is not JSON: Expecting ':' delimiter"),
        ("[" * 200_000, "gateway.json: is not JSON that can be read: a number too long, or nested too deeply"),
        ("9" * 5000, "gateway.json: is not JSON that can be read: a number too long, or nested too deeply"),
        ('{\n"a": 1,\n"a": 2}', "gateway.json:2: a: stands twice, again on line 3"),
        ('{\n"kind": 5}', "gateway.json:2: kind: expected RealtimeGateway, not 5"),
    ],
)
def test_json_that_is_no_resource_is_refused(text, problem):
    assert problem in lines(text, parse_json, "gateway.json")


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path):
    for path, what in [
        (tmp_path / "absent.yaml", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
    ]:
        with pytest.raises(ResourceInvalid) as caught:
            load_resource(path)
        assert [str(problem) for problem in caught.value.problems] == [f"{path}: {what}"]


def test_a_file_in_another_encoding_is_one_problem(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(ResourceInvalid, match="is not text in UTF-8"):
        load_resource(path)


def test_a_byte_order_mark_is_read_over(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert load_resource(path).name == "chat"


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.sampled_from("abkind: -[]{}&*<>|!#\n\t'\"0159.%~?,"), max_size=60),
    st.sampled_from([parse_yaml, parse_json]),
)
def test_any_text_gives_a_resource_or_problems_and_nothing_else(text, read):
    for whole in (text, GOOD + "  image: " + text):
        with contextlib.suppress(ResourceInvalid):
            assert read(whole, "fuzz").name == "chat"
