"""Secrets beside a resource in one YAML file."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.support.documented import code_under

from realtime_gateway.errors import ConfigurationError, ResourceInvalid
from realtime_gateway.resource.reading import parse_content
from realtime_gateway.resource.secret_documents import secret_contents, without_secrets

PATH = Path("gateway.yaml")
RESOURCE = """\
apiVersion: realtime-gateway.io/v1alpha1
kind: RealtimeGateway
metadata: {name: chat}
spec:
  application: chat.asgi:application
  redis: {managed: {}}
  channelLayer:
    encryptionKeysSecretRef: {name: layer, key: keys}
"""
LAYER = """\
apiVersion: v1
kind: Secret
metadata: {name: layer}
stringData:
  keys: |
    hunter2-hunter2-hunter2
"""


def contents(text: str) -> dict[str, bytes]:
    return secret_contents(parse_content(text.encode(), PATH), text.encode(), PATH)


@pytest.mark.parametrize(
    "text", [f"{RESOURCE}---\n{LAYER}", f"{LAYER}---\n{RESOURCE}", f"---\n{LAYER}...\n---\n{RESOURCE}"]
)
def test_a_secret_may_stand_before_or_after_the_resource(text: str) -> None:
    assert contents(text) == {"encryption-keys": b"hunter2-hunter2-hunter2\n"}


def test_data_is_base64_and_string_data_wins() -> None:
    encoded = base64.b64encode(b"\xff\x00").decode()
    secret = f"kind: Secret\nmetadata: {{name: layer}}\ndata: {{keys: {encoded}}}\n"
    assert contents(f"{RESOURCE}---\n{secret}") == {"encryption-keys": b"\xff\x00"}
    assert contents(f"{RESOURCE}---\n{secret}stringData: {{keys: plain}}\n") == {"encryption-keys": b"plain"}


def test_a_resource_without_references_needs_no_secrets_and_looks_at_none() -> None:
    plain = RESOURCE.partition("  channelLayer")[0]
    assert contents(f"{plain}---\nkind: Secret\ndata: {{keys: '#'}}\n") == {}


@pytest.mark.parametrize(
    ("secrets", "words"),
    [
        ("", "Secret layer, and the file has none of that name in the namespace default"),
        ("---\nkind: Secret\nmetadata: {name: other}\n", "has none of that name"),
        ("---\nkind: Secret\nmetadata: {name: layer, namespace: elsewhere}\n", "in the namespace default"),
        ("---\nkind: Secret\nmetadata: {name: layer}\n", "the key keys of the Secret layer, which has no keys"),
        ("---\nkind: Secret\nmetadata: {name: layer}\nstringData: {a: hunter2, b: x}\n", "which has a, b"),
    ],
)
def test_a_secret_or_key_that_is_missing_is_named_with_what_to_do(secrets: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway\.yaml: ") as raised:
        contents(RESOURCE + secrets)
    assert words in raised.value.message
    assert raised.value.remedy.startswith("Add it")
    assert "hunter2" not in str(raised.value)


def test_where_no_document_can_be_added_the_remedy_is_another_form_of_the_file() -> None:
    resource = parse_content(RESOURCE.encode(), PATH)
    with pytest.raises(ConfigurationError) as raised:
        secret_contents(resource, b"{}", Path("gateway.json"))
    assert raised.value.remedy.startswith("Write the resource as YAML")


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("data:\n  keys: hunter2#", "gateway.yaml:13: Secret data.keys: is not base64"),
        ("stringData:\n  keys: 7", "gateway.yaml:13: Secret stringData.keys: expected text; put it in quotes"),
        ("stringData: [hunter2]", "gateway.yaml:12: Secret stringData: expected an object"),
        ("stringData:\n  keys: a\n  keys: hunter2", "gateway.yaml:13: Secret stringData.keys: stands twice"),
    ],
)
def test_a_secret_that_cannot_be_read_is_told_with_its_line_and_without_its_value(secret: str, problem: str) -> None:
    with pytest.raises(ResourceInvalid) as raised:
        contents(f"{RESOURCE}---\nkind: Secret\nmetadata: {{name: layer}}\n{secret}\n")
    assert problem in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_two_secrets_of_one_name_are_refused() -> None:
    with pytest.raises(ResourceInvalid, match="there is another Secret layer in this file"):
        contents(f"{RESOURCE}---\n{LAYER}---\n{LAYER}")


@pytest.mark.parametrize(
    "secret", [LAYER, "# hunter2 is it\n" + LAYER, LAYER.replace("kind: Secret", "kind: Secret # hunter2")]
)
@pytest.mark.parametrize("first", [True, False])
def test_the_file_without_its_secrets_is_the_same_resource_on_the_same_lines(secret: str, first: bool) -> None:
    text = f"{secret}---\n{RESOURCE}" if first else f"{RESOURCE}---\n{secret}"
    left = without_secrets(text.encode(), PATH)
    assert b"hunter2" not in left
    assert parse_content(left, PATH) == parse_content(text.encode(), PATH)
    lines = text.splitlines()
    assert all(line in ("", "---", lines[number]) for number, line in enumerate(left.decode().splitlines()))
    assert [number for number, line in enumerate(left.decode().splitlines()) if "kind: Real" in line] == [
        number for number, line in enumerate(lines) if "kind: Real" in line
    ]


def test_a_secret_on_the_line_of_its_marker_is_taken_out_too() -> None:
    text = f"{RESOURCE}--- {{kind: Secret, metadata: {{name: layer}}, stringData: {{keys: hunter2}}}}\n"
    assert contents(text) == {"encryption-keys": b"hunter2"}
    assert without_secrets(text.encode(), PATH) == f"{RESOURCE}---\n".encode()


def test_json_is_one_document_and_stays_as_it_is() -> None:
    assert without_secrets(b'{"kind": "RealtimeGateway"}', Path("gateway.json")) == b'{"kind": "RealtimeGateway"}'


def test_the_file_of_the_documentation_can_be_used() -> None:
    assert contents(code_under("up.md", "## Secrets")) == {
        "encryption-keys": b"put-what-openssl-rand-base64-32-prints-here\n"
    }
