import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.cli.test_status_tree import OBJECTS, SERVING, resource

from realtime_gateway.cli import main, status
from realtime_gateway.cli.status_tree import Process
from realtime_gateway.errors import ConfigurationError
from realtime_operator.objects.gateway_pods import ADMIN_PORT
from realtime_operator.target import API_GROUP, FIELD_MANAGER, PLURAL

HEALTH = {"phase": "serving", "epoch": 7, "connections": {"websocket": 3, "http": 1}}


def answering(exec_answer: str | Exception, seen: list[Sequence[str]] | None = None) -> Callable[[Sequence[str]], str]:
    """Return a kubectl for a cluster with the objects of the tree's test."""

    def kubectl(words: Sequence[str]) -> str:
        if seen is not None:
            seen.append(words)
        if status.RESOURCE in words:
            return json.dumps(SERVING)
        if status.SHOWN in words:
            return json.dumps({"items": OBJECTS})
        if isinstance(exec_answer, Exception):
            raise exec_answer
        return exec_answer

    return kubectl


def test_every_gateway_pod_that_is_ready_is_asked_where_its_resource_is():
    seen: list[Sequence[str]] = []
    facts = status.gather("chat", answering(json.dumps(HEALTH), seen))
    assert facts.processes == {name: Process("serving", 7, 4) for name in ("chat-77-a", "chat-77-b")}
    assert all(words[0] == "--namespace=shop" for words in seen[1:])
    asked = [words[words.index("exec") + 1] for words in seen if "exec" in words]
    assert sorted(asked) == ["chat-77-a", "chat-77-b"]


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"phase": "serving", "epoch": "x"}', "not JSON"])
def test_an_answer_that_is_none_is_said_and_not_raised(answer: str):
    facts = status.gather("chat", answering(answer))
    assert set(facts.processes.values()) == {"its answer is not one of a gateway"}


def test_a_pod_that_must_not_be_asked_is_shown_with_the_reason():
    facts = status.gather("chat", answering(ConfigurationError("pods/exec is forbidden")))
    assert set(facts.processes.values()) == {"pods/exec is forbidden"}


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a kubectl that is found on PATH; it notes its command line in a file."""

    def write(body: str) -> Path:
        program, words = tmp_path / "kubectl", tmp_path / "words"
        program.write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\necho "$*" >>"{words}"\n{body}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return words

    return write


def shown(tmp_path: Path, found: dict[str, Any]) -> str:
    """Return the body of a kubectl that knows a resource without any object of its own."""
    (tmp_path / "resource.json").write_text(json.dumps(found))
    (tmp_path / "objects.json").write_text('{"items": []}')
    return f'case "$*" in *{status.RESOURCE}*) cat "{tmp_path}/resource.json";; *) cat "{tmp_path}/objects.json";; esac'


def test_the_exit_code_says_whether_it_is_ready(tmp_path, kubectl, capsys):
    kubectl(shown(tmp_path, SERVING))
    assert main.main(["status", "chat"]) == 0
    assert capsys.readouterr().out.startswith("chat in namespace shop: Ready\n")
    kubectl(shown(tmp_path, resource()))
    assert main.main(["status", "chat"]) == 1


def test_namespace_and_context_are_kubectls(tmp_path, kubectl):
    words = kubectl(shown(tmp_path, SERVING))
    assert main.main(["status", "chat", "-n", "shop", "--context", "prod"]) == 0
    for line in words.read_text().splitlines():
        assert "--context=prod --namespace=shop" in line


def test_what_kubectl_refuses_is_one_message_and_exit_code_1(kubectl, capsys):
    kubectl("echo 'Error from server (NotFound): realtimegateways \"chat\" not found' >&2; exit 1")
    assert main.main(["status", "chat"]) == 1
    assert capsys.readouterr().err == (
        'realtime-gateway status: Error from server (NotFound): realtimegateways "chat" not found\n'
    )


def test_a_cluster_without_the_definition_gets_the_command_that_installs_it(kubectl, capsys):
    kubectl("echo 'error: the server doesn'\"'\"'t have a resource type \"realtimegateways\"' >&2; exit 1")
    assert main.main(["status", "chat"]) == 1
    said = capsys.readouterr().err
    assert "This cluster does not know RealtimeGateways." in said
    assert "helm install realtime-gateway" in said


def test_without_kubectl_the_message_says_where_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main.main(["status", "chat"]) == 1
    assert "kubectl is not on PATH." in capsys.readouterr().err


def test_a_kubectl_that_does_not_end_is_given_up(kubectl, monkeypatch, capsys):
    kubectl("exec sleep 60")
    monkeypatch.setattr(status, "KUBECTL_SECONDS", 0.2)
    assert main.main(["status", "chat"]) == 1
    assert "kubectl did not end within 0.2 s." in capsys.readouterr().err


def test_what_it_looks_for_is_what_the_operator_makes():
    assert f"{PLURAL}.{API_GROUP}" == status.RESOURCE
    assert status.MADE_BY_THE_OPERATOR.endswith(f"={FIELD_MANAGER}")
    assert status.ADMIN_PORT == ADMIN_PORT
    assert f":{ADMIN_PORT}/healthz" in status.ASK


def test_what_kubectl_logs_is_left_out_where_it_says_something_else(kubectl: Callable[[str], Path], capsys):
    logged = 'E1126 12:00:00.000000 77 memcache.go:265] "Unhandled Error"'
    kubectl(f"echo '{logged}' >&2; echo 'The connection to the server was refused' >&2; exit 1")
    assert main.main(["status", "chat"]) == 1
    assert "memcache" not in (said := capsys.readouterr().err)
    assert "The connection to the server was refused" in said
    kubectl(f"echo '{logged}' >&2; exit 1")
    assert main.main(["status", "chat"]) == 1
    assert "memcache" in capsys.readouterr().err
