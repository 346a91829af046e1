"""`serve --processes N` with clients: each process takes the whole command line, and each drains."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil
from tests.integration.server.test_serve_command import children, two_adjacent_free_ports
from tests.integration.server.test_websocket import closed
from tests.support.conditions import until
from tests.support.frames import RawClient, client_frame
from tests.support.pages import get
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect

# What is not nothing although it looks like it.
ZEROS = {
    "--ping-interval": ("ping_interval", 0),
    "--drain-seconds": ("drain_seconds", 0),
    "--head-timeout-seconds": ("head_timeout_seconds", 0),
    "--websocket-max-message-size": ("websocket_max_message_size", 0),
    "--websocket-max-frame-size": ("websocket_max_frame_size", 0),
    "-v": ("verbosity", 0),
}


def test_options_of_value_zero_reach_each_process(applications):
    words = [word for option in ZEROS for word in (option, "0")]
    with two_processes(applications, "--no-server-name", *words) as it:
        it.wait_until(lambda: len(children(it)) == 2, "complete", 10)
        for pid in children(it):
            given = json.loads(psutil.Process(pid).cmdline()[-1])
            assert {name: given[name] for name, _ in ZEROS.values()} == dict(ZEROS.values())
        with RawClient(it.port, "/echo") as client:
            assert b"\r\nserver:" not in client.head.lower()
            large = b"x" * (2 * 1024 * 1024)
            client.send(client_frame(0x82, large))
            assert client.frame() == (0x82, large), it.output
        assert "WebSocket" not in it.output, "the access log of verbosity 1"
        it.terminate()
        assert it.wait() == 0


def two_processes(applications: Path, *options: str) -> ServeProcess:
    """Return two processes, not yet started, whose admin ports are both free: the second has the next one."""
    it = ServeProcess("conversations:application", "--processes", "2", *options, directory=applications)
    first = two_adjacent_free_ports()
    it.words[it.words.index(str(it.admin_port))] = str(first)
    it.admin_port = first
    return it


def counted(it: ServeProcess) -> list[int]:
    """Return how many WebSockets each process has."""
    assert it.process is not None
    ports = sorted(
        connection.laddr.port
        for child in psutil.Process(it.process.pid).children()
        for connection in child.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port != it.port
    )
    pages = [json.loads(get(f"http://127.0.0.1:{port}/healthz").body) for port in ports]
    return [page["connections"].get("websocket", 0) for page in pages]


async def test_the_websockets_of_every_process_are_closed_and_its_applications_hear_of_it(applications):
    with two_processes(applications) as it:
        it.wait_for_output("in 2 processes")
        clients = await asyncio.gather(*(connect(f"{it.websocket_url}/echo") for _ in range(40)))
        shares = counted(it)
        assert sum(shares) == 40
        assert all(shares), f"one process has none: {shares}"
        it.terminate()
        ends = await asyncio.gather(*(closed(client) for client in clients))
        assert {code for code, _ in ends} == {1012}
        assert it.wait() == 0
        assert it.output.count("disconnect 1012") == 40


async def test_a_second_signal_ends_the_drain_of_every_process(applications):
    it = ServeProcess(
        "conversations:application",
        "--processes",
        "2",
        "--drain-accept-seconds",
        "600",
        directory=applications,
        admin=False,
    ).launch()
    try:
        it.wait_for_output("in 2 processes")
        clients = await asyncio.gather(*(connect(f"{it.websocket_url}/echo") for _ in range(20)))
        it.terminate()
        await until(lambda: it.output.count("Draining:") == 2)
        for client in clients:
            await client.send("still served")
            assert await client.recv() == "still served"
        it.terminate()
        ends = await asyncio.gather(*(closed(client) for client in clients))
        assert {code for code, _ in ends} == {1012}
        assert it.wait() == 0
        assert it.output.count("disconnect 1012") == 20
    finally:
        it.stop()


def test_the_parent_writes_its_log_in_the_form_of_the_resource_as_the_processes_do(applications, tmp_path):
    resource = tmp_path / "gateway.json"
    described = {
        "apiVersion": "realtime-gateway.io/v1alpha1",
        "kind": "RealtimeGateway",
        "metadata": {"name": "chat"},
        "spec": {"application": "conversations:application", "telemetry": {"log": "json"}},
    }
    resource.write_text(json.dumps(described))
    environment = {"REALTIME_GATEWAY_RESOURCE": str(resource)}
    several = ("conversations:application", "--processes", "2")
    it = ServeProcess(*several, directory=applications, environment=environment, admin=False).launch()
    try:
        it.wait_for_output("in 2 processes")
        (line,) = [line for line in it.output.splitlines() if "in 2 processes" in line]
        assert json.loads(line)["logger"] == "realtime_gateway.server"
        it.terminate()
        assert it.wait() == 0
    finally:
        it.stop()
