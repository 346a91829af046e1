"""Edits of the resource are followed while it runs: one run, one edit after the other."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from tests.integration.local.conftest import Write, serving, writer
from tests.support.redis_process import redis_server_program
from tests.support.up_process import UpProcess

pytestmark = pytest.mark.skipif(redis_server_program() is None, reason="no redis-server")


@pytest.fixture(scope="module")
def edit(tmp_path_factory: pytest.TempPathFactory) -> Write:
    return writer(tmp_path_factory.mktemp("edits"))


@pytest.fixture(scope="module")
def running(edit: Write) -> Iterator[UpProcess]:
    with UpProcess(edit(replicas="2")) as up:
        up.wait_until_ready()
        yield up
        up.signal(signal.SIGINT)
        assert up.wait_for_end() == 0
        assert up.left_behind() == []


@pytest.fixture
def up(running: UpProcess, edit: Write) -> UpProcess:
    """The run as the tests find it: two gateways, and nothing unusual."""
    said = len(running.text)
    if set(pids(running)) != {"redis-0-0", "gateway-0", "gateway-1"}:
        edit(replicas="2")
        running.wait_for("the edit has been carried out", after=said)
    return running


def pids(up: UpProcess) -> dict[str, int]:
    return {name: process.pid for name, process in up.children().items()}


def test_replicas_follow_the_file(up: UpProcess, edit: Write):
    before, said = pids(up), len(up.text)
    edit(replicas="3")
    up.wait_for("tiny-gateway-2 is ready", after=said)
    assert serving(up) == {"tiny-gateway-0", "tiny-gateway-1", "tiny-gateway-2"}
    edit(replicas="1")
    up.wait_for("tiny-gateway-1 has ended", after=said)
    up.wait_for("tiny-gateway-2 has ended", after=said)
    assert serving(up) == {"tiny-gateway-0"}
    assert pids(up) == {name: before[name] for name in ("redis-0-0", "gateway-0")}


def test_an_edit_that_cannot_be_read_is_told_and_changes_nothing(up: UpProcess, edit: Write):
    before, said = pids(up), len(up.text)
    edit(replica="3")
    up.wait_for("did you mean replicas", after=said)
    assert pids(up) == before


def test_servers_stay_as_they_are_and_the_rest_of_the_edit_is_followed(up: UpProcess, edit: Write):
    before, said = pids(up), len(up.text)
    edit(redis="{managed: {shards: 1, replicas: 1}}", replicas="3")
    up.wait_for("Of spec.redis only managed.shards and external.hosts can change while it runs", after=said)
    up.wait_for("tiny-gateway-2 is ready", after=said)
    after = pids(up)
    assert before.items() <= after.items()
    assert set(after) - set(before) == {"gateway-2"}


def test_an_edit_that_does_not_start_is_taken_back(up: UpProcess, edit: Write):
    said = len(up.text)
    edit(replicas="2", application="tiny:missing")
    up.wait_for("the edit is not followed, and what runs stays as it was", after=said)
    assert "'missing'" in up.text[said:]
    assert serving(up) == {"tiny-gateway-0", "tiny-gateway-1"}
    assert "missing" not in (up.directory / "tiny" / "resource.yaml").read_text()


def test_what_does_not_start_as_before_either_is_tried_again_until_it_does(up: UpProcess, edit: Write):
    said = len(up.text)
    application = up.file.parent / "tiny.py"
    working = application.read_text()
    application.write_text("raise RuntimeError('not today')")
    edit(replicas="2", drain="{periodSeconds: 2}")
    up.wait_for("tiny-gateway-0 does not start as before either; it is started again in", after=said)
    up.wait_for("the edit is not followed", after=said)
    application.write_text(working)
    up.wait_for("tiny-gateway-0 is back", after=said)
    assert serving(up) == {"tiny-gateway-0", "tiny-gateway-1"}


def test_a_new_gateway_that_does_not_start_is_left_out_until_the_next_edit(up: UpProcess, edit: Write):
    before, said = pids(up), len(up.text)
    application = up.file.parent / "tiny.py"
    working = application.read_text()
    application.write_text("raise RuntimeError('not today')")
    edit(replicas="3")
    up.wait_for("left out until the resource is edited again", after=said)
    assert pids(up) == before
    application.write_text(working)
    edit(replicas="4")
    for name in ("tiny-gateway-2", "tiny-gateway-3"):
        up.wait_for(f"{name} is ready", after=said)
    assert pids(up).items() >= before.items()


def test_a_field_that_only_kubernetes_uses_is_told_once_when_an_edit_adds_it(up: UpProcess, edit: Write):
    said = len(up.text)
    line = "ignored here, since only Kubernetes uses it: spec.suspend"
    edit(replicas="3", suspend="true")
    up.wait_for("tiny-gateway-2 is ready", after=said)
    edit(replicas="2", suspend="true")
    up.wait_for("tiny-gateway-2 has ended", after=said)
    assert up.text.count(line) == 1


def test_without_gateways_it_says_that_nobody_answers_until_there_are_some(up: UpProcess, edit: Write):
    said = len(up.text)
    edit(replicas="0")
    up.wait_for("no gateway runs, since spec.replicas is 0: nobody answers at http", after=said)
    edit(replicas="2")
    up.wait_for(f"ready: {up.url}", after=said)
    assert serving(up) == {"tiny-gateway-0", "tiny-gateway-1"}


def test_another_name_is_another_gateway_and_not_followed(up: UpProcess, edit: Write):
    before, said = pids(up), len(up.text)
    file = edit(replicas="2")
    file.write_text(file.read_text().replace("{name: tiny}", "{name: other}"))
    up.wait_for("metadata.name was tiny and is now other", after=said)
    assert pids(up) == before


def test_an_edit_of_what_gateways_read_restarts_them_one_by_one(up: UpProcess, edit: Write):
    before, said = pids(up), len(up.text)
    edit(replicas="2", websocket="{maxMessageSize: 2Ki}")
    up.wait_for("the edit has been carried out", after=said)
    after = pids(up)
    assert {name for name in before if after[name] != before[name]} == {"gateway-0", "gateway-1"}
