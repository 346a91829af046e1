"""`realtime-gateway serve`: where it listens, what it says, and how it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import httpx
import psutil
import pytest
from tests.integration.server.test_websocket import closed
from tests.support.conditions import wait_until
from tests.support.free_port import free_port
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect


def failed(*words: str, directory: Path, environment: dict[str, str] | None = None, code: int = 1) -> str:
    """Run a `serve` that must end with 1, or with 2 for a misuse of the command line; return its output."""
    ended = subprocess.run(
        [sys.executable, "-m", "realtime_gateway.cli.main", "serve", *words],
        cwd=directory,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    return ended.stderr


def test_a_port_in_use_is_named(applications):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = failed("conversations:application", "-p", str(port), directory=applications)
        assert f"port {port} of 127.0.0.1 is in use by another process." in said
        assert "Traceback" not in said
        said = failed("conversations:application", "-p", str(port), "--processes", "2", directory=applications)
        assert f"port {port} of 127.0.0.1 is in use by another process." in said


def test_an_admin_port_in_use_is_named(applications):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = failed("conversations:application", "-p", "0", "--admin-port", port, directory=applications)
    assert f"port {port} of 127.0.0.1 is in use by another process." in said


def test_an_application_that_does_not_import_shows_why(applications):
    said = failed("broken:application", "-p", "0", directory=applications)
    assert "import a_module_that_nobody_has" in said, "the traceback is missing"
    assert said.splitlines()[-1].endswith(
        "broken:application cannot be imported: ModuleNotFoundError: No module named 'a_module_that_nobody_has'"
    )


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_channel_layer_that_cannot_be_made_ends_the_start(applications, tmp_path, processes: str):
    """Served all the same, it would be ready, and refuse whoever comes."""
    words = ("layered:application", "-p", "0", "--processes", processes)
    said = failed(*words, directory=applications, environment={"REDIS_URL": "bogus:1"})
    assert "has an address that begins with none of redis://" in said
    assert "Traceback" not in said
    assert "Serving" not in said
    missing = {"REALTIME_GATEWAY_CONFIG": str(tmp_path / "hosts.json")}
    said = failed(*words, directory=applications, environment=missing)
    assert missing["REALTIME_GATEWAY_CONFIG"] in said
    assert "Serving" not in said


def test_a_format_of_the_log_that_cannot_be_used_is_refused(applications):
    said = failed("conversations:application", "-p", "0", "--log-fmt", "%(bogus)s", directory=applications)
    assert "The log's format '%(bogus)s' cannot be used" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("conversations:nothing", "conversations has no 'nothing'"),
        ("no_such_module:application", "No module named 'no_such_module'"),
        ("conversations", "Write it as module:name"),
        ("conversations:__name__", "conversations:__name__ is no ASGI application: it is 'conversations'."),
    ],
)
def test_an_application_path_that_is_wrong_is_named(applications, path: str, complaint: str):
    assert complaint in failed(path, "-p", "0", directory=applications)


def test_several_processes_fail_together_when_the_application_does_not_import(applications):
    said = failed("broken:application", "-p", "0", "--processes", "2", directory=applications)
    assert "broken:application cannot be imported" in said
    assert "before it was ready" in said


def test_a_number_that_cannot_be_is_refused_with_the_option_that_has_it(applications):
    said = failed("conversations:application", "-p", "0", "--http-timeout", "-3", directory=applications, code=2)
    assert said.splitlines()[-1].endswith("error: argument -t/--http-timeout: -3 is negative; give 0 or more")


def test_a_port_of_an_endpoint_that_does_not_exist_is_refused(applications):
    said = failed("conversations:application", "-e", "tcp:70000", directory=applications)
    assert "There is no port 70000." in said
    assert "Traceback" not in said


def test_an_access_log_that_cannot_be_opened_is_named(applications, tmp_path):
    path = tmp_path / "missing" / "access.log"
    said = failed("conversations:application", "-p", "0", "--access-log", str(path), directory=applications)
    assert f"The access log {path} cannot be opened" in said


def test_a_proxy_header_without_proxy_headers_is_refused(applications):
    said = failed("conversations:application", "--proxy-headers-host", "X-Real-IP", directory=applications)
    assert "need --proxy-headers" in said


def test_the_defaults_come_from_the_resource_and_the_command_line_wins(applications, tmp_path):
    resource = tmp_path / "gateway.json"
    spec = {"application": "conversations:application", "drain": {"acceptSeconds": 300, "periodSeconds": 1}}
    resource.write_text(
        json.dumps(
            {
                "apiVersion": "realtime-gateway.io/v1alpha1",
                "kind": "RealtimeGateway",
                "metadata": {"name": "chat"},
                "spec": spec,
            }
        )
    )
    environment = {"REALTIME_GATEWAY_RESOURCE": str(resource), "REALTIME_GATEWAY_PROCESS": "chat-0"}
    with ServeProcess("conversations:application", directory=applications, environment=environment) as it:
        assert it.health()["process"] == "chat-0"
        it.terminate()
        wait_until(lambda: it.health()["phase"] == "not ready")  # acceptSeconds of the resource
        it.terminate()
        assert it.wait() == 0
    options = ("--drain-accept-seconds", "0")
    with ServeProcess("conversations:application", *options, directory=applications, environment=environment) as it:
        it.terminate()
        assert it.wait(10) == 0


async def test_daphne_s_options_do_what_they_do_there(applications):
    port = free_port()
    options = (
        *("--log-fmt", "MARK %(levelname)s %(name)s %(message)s", "-v", "2", "-s", "teapot"),
        *("--proxy-headers", "--proxy-headers-host", "X-Real-IP", "--proxy-headers-port", "X-Real-Port"),
        *("--websocket-max-frame-size", "1000", "--root-path", "/chat"),
    )
    listen = ("-e", f"tcp:port={port}:interface=127.0.0.1")
    with ServeProcess("conversations:application", *options, directory=applications, listen=listen) as it:
        headers = {"X-Real-IP": "10.9.8.7", "X-Real-Port": "4321", "X-Forwarded-For": "10.1.1.1"}
        async with httpx.AsyncClient() as client:
            response = await client.get(f"http://127.0.0.1:{port}/scope", headers=headers)
        assert response.headers["Server"] == "teapot"
        scope = response.json()
        assert (scope["client"], scope["root_path"]) == (["10.9.8.7", 4321], "/chat")
        async with connect(f"ws://127.0.0.1:{port}/echo") as websocket:
            assert websocket.response.headers["Server"] == "teapot"
            await websocket.send(iter(["a" * 900, "b" * 900]))
            assert await websocket.recv() == "a" * 900 + "b" * 900
            await websocket.send("x" * 1001)
            assert (await closed(websocket))[0] == 1009
        it.wait_for_output("MARK DEBUG ")
        assert "MARK INFO realtime_gateway.server Serving conversations:application on" in it.output


def test_a_unix_socket_is_made_and_removed(applications, tmp_path):
    path = tmp_path / "serve.sock"
    with ServeProcess("conversations:application", directory=applications, listen=("-u", str(path))) as it:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            assert client.get("http://x/").text == "hello"
            assert client.get("http://x/scope").json()["client"] is None
        it.terminate()
        assert it.wait() == 0
    assert not path.exists()


def test_a_unix_socket_left_by_a_killed_process_is_replaced(applications, tmp_path):
    path = tmp_path / "serve.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with (
        ServeProcess("conversations:application", directory=applications, listen=("-u", str(path))),
        httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client,
    ):
        assert client.get("http://x/").text == "hello"


def test_an_inherited_socket_is_served(applications):
    with socket.socket() as inherited:
        inherited.bind(("127.0.0.1", 0))
        inherited.listen()
        listen = ("--fd", str(inherited.fileno()))
        with ServeProcess(
            "conversations:application", directory=applications, listen=listen, pass_fds=(inherited.fileno(),)
        ):
            assert httpx.get(f"http://127.0.0.1:{inherited.getsockname()[1]}/").text == "hello"


def test_port_0_takes_a_free_port_and_says_which(applications):
    with ServeProcess("conversations:application", directory=applications, listen=("-p", "0")) as it:
        it.wait_for_output("Serving conversations:application on http://127.0.0.1:")
        port = it.output.partition("Serving conversations:application on http://127.0.0.1:")[2].split()[0]
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "hello"


def test_ipv6_is_served(applications):
    with ServeProcess("conversations:application", directory=applications, listen=("-b", "::1", "-p", "0")) as it:
        it.wait_for_output("on http://[::1]:")
        port = it.output.partition("on http://[::1]:")[2].split()[0]
        assert httpx.get(f"http://[::1]:{port}/").text == "hello"


def test_two_processes_started_apart_share_a_port(applications):
    listen = ("-p", str(free_port()), "--reuse-port")
    with (
        ServeProcess("conversations:application", directory=applications, listen=listen) as one,
        ServeProcess("conversations:application", directory=applications, listen=listen) as other,
    ):
        assert one.process is not None
        assert other.process is not None
        assert answering_pids(int(listen[1]), 200) == {one.process.pid, other.process.pid}
        one.terminate()
        assert one.wait() == 0
        assert answering_pids(int(listen[1]), 20) == {other.process.pid}


def answering_pids(port: int, requests: int) -> set[int]:
    """Return the processes that have answered, one connection per request."""
    pids = set()
    for _ in range(requests):
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/pid")
        with connection.getresponse() as response:
            pids.add(int(response.read()))
        connection.close()
    return pids


def children(of: ServeProcess) -> set[int]:
    assert of.process is not None
    return {child.pid for child in psutil.Process(of.process.pid).children()}


def launch_several(
    application: str, count: int, directory: Path, listen: tuple[str, ...] | None = None
) -> ServeProcess:
    it = ServeProcess(application, "--processes", str(count), directory=directory, listen=listen, admin=False).launch()
    it.wait_for_output(f"in {count} processes")
    return it


def test_each_of_several_processes_gets_connections(applications):
    it = launch_several("conversations:application", 2, applications)
    try:
        assert answering_pids(it.port, 200) == children(it)
        it.terminate()
        assert it.wait() == 0
    finally:
        it.stop()


def test_several_processes_share_a_unix_socket(applications, tmp_path):
    path = tmp_path / "serve.sock"
    it = launch_several("conversations:application", 2, applications, ("-u", str(path)))
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            assert int(client.get("http://x/pid").text) in children(it)
        it.terminate()
        assert it.wait() == 0
    finally:
        it.stop()


def test_a_process_that_dies_is_started_again_and_said_so(applications):
    it = launch_several("conversations:application", 2, applications)
    try:
        before = children(it)
        victim = sorted(before)[0]
        os.kill(victim, signal.SIGKILL)
        it.wait_for_output("ended with -9; starting it again in 0.5 s")
        it.wait_until(lambda: len(children(it) - {victim}) == 2, "complete again", 20)
        it.wait_until(lambda: answering_pids(it.port, 50) == children(it), "serving in both", 20)
        it.terminate()
        assert it.wait() == 0
    finally:
        it.stop()


def test_processes_end_when_their_parent_is_killed(applications):
    it = launch_several("conversations:application", 2, applications)
    try:
        orphans = [psutil.Process(pid) for pid in children(it)]
        it.terminate(signal.SIGKILL)
        it.wait()
        wait_until(lambda: not any(orphan.is_running() for orphan in orphans))
    finally:
        it.stop()


def test_each_process_has_an_admin_port_of_its_own(applications):
    first = two_adjacent_free_ports()
    options = ("--processes", "2", "--admin-port", str(first))
    it = ServeProcess("conversations:application", *options, directory=applications)
    it.admin_port = first
    with it:
        second = f"http://127.0.0.1:{it.admin_port + 1}/healthz"
        it.wait_for_output("in 2 processes")
        assert httpx.get(second).json()["phase"] == "serving"
        it.terminate()
        assert it.wait() == 0


def two_adjacent_free_ports() -> int:
    """Return the first of two free ports, below those that the kernel gives to clients."""
    for first in random.Random().sample(range(10_000, 30_000, 2), 100):
        with socket.socket() as one, socket.socket() as other, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", first))
            other.bind(("127.0.0.1", first + 1))
            return first
    raise AssertionError("no two adjacent free ports")


def test_the_channel_layer_is_made_before_the_first_client_comes(applications):
    with ServeProcess("layered:application", directory=applications) as server:
        assert httpx.get(server.url).text == "there"
