"""Sockets that systemd opens: a real process that gets them as sd_listen_fds(3) describes."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.server.test_serve_command import answering_pids, children
from tests.integration.server.test_websocket import read_to_end
from tests.support import as_systemd
from tests.support.free_port import free_port
from tests.support.serve_process import ServeProcess

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def opened(tmp_path) -> Iterator[list[socket.socket]]:
    """What systemd would hold: two TCP ports and a Unix socket, all listening."""
    with contextlib.ExitStack() as held:
        ports = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        unix = held.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(tmp_path / "systemd.sock"))
        unix.listen()
        yield [*ports, unix]


def activated(sockets: list[socket.socket], names: str, *options: str, directory: Path, **more: bool) -> ServeProcess:
    fds = tuple(each.fileno() for each in sockets)
    it = ServeProcess("conversations:application", *options, directory=directory, listen=(), pass_fds=fds, **more)
    it.words = [sys.executable, as_systemd.__file__, ",".join(map(str, fds)), names, *it.words]
    return it


def port_of(opened: socket.socket) -> int:
    port: int = opened.getsockname()[1]
    return port


def test_every_socket_that_systemd_passes_is_served(applications, opened):
    with activated(opened, "web:api:local", directory=applications) as it:
        assert "systemd has passed: web (fd 3), api (fd 4), local (fd 5)" in it.output
        for port in map(port_of, opened[:2]):
            assert httpx.get(f"http://127.0.0.1:{port}/").text == "hello"
        path = opened[2].getsockname()
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
            assert client.get("http://x/").text == "hello"
        it.terminate()
        assert it.wait() == 0
    assert Path(path).exists(), "the path is systemd's"


def test_who_comes_between_two_instances_is_served_by_the_next(applications, opened):
    with activated(opened[:1], "web", directory=applications) as first:
        first.terminate()
        assert first.wait() == 0
    with socket.create_connection(opened[0].getsockname(), timeout=30) as client:
        client.sendall(REQUEST)
        with activated(opened[:1], "web", directory=applications):
            assert read_to_end(client).endswith(b"hello")


def test_several_processes_accept_from_systemds_sockets(applications, opened):
    it = activated(opened[:2], "web:api", "--processes", "2", directory=applications, admin=False).launch()
    try:
        it.wait_for_output("in 2 processes")
        for port in map(port_of, opened[:2]):
            it.wait_until(lambda port=port: answering_pids(port, 50) == children(it), "serving in both", 20)
        it.terminate()
        assert it.wait() == 0
    finally:
        it.stop()


def test_the_command_line_wins_and_says_so(applications, opened):
    port = free_port()
    with activated(opened[:1], "web", "-p", str(port), directory=applications) as it:
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "hello"
        assert "nobody accepts from systemd's sockets web (fd 3)" in it.output


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_a_socket_that_is_one_clients_connection_is_refused_with_what_to_change(applications, opened, processes):
    with socket.create_connection(opened[0].getsockname()), opened[0].accept()[0] as connection:
        it = activated([connection], "web", *processes, directory=applications).launch()
        try:
            assert it.wait() == 1
            assert "Cannot listen on fd:3: it is the connection of one client.\nIn a systemd unit:" in it.output
            assert "Traceback" not in it.output
        finally:
            it.stop()


def test_a_datagram_socket_is_refused(applications):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        it = activated([datagrams], "web", directory=applications).launch()
        try:
            assert it.wait() == 1
            assert "Cannot listen on fd:3: it is no stream socket." in it.output
        finally:
            it.stop()
