"""Mistakes of an application in its messages: what its client sees, and that it may go on where it catches them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.server.test_websocket import closed, handshake_request, refused
from tests.support.frames import RawClient
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect

CONNECT_SECONDS = "2"


@pytest.fixture(scope="module")
def server() -> Iterator[ServeProcess]:
    options = ("--websocket-connect-timeout", CONNECT_SECONDS)
    with ServeProcess("mistaken:application", *options, directory=Path(__file__).parent / "applications") as running:
        yield running


async def test_after_a_close_that_may_not_be_a_better_one_is_sent(server: ServeProcess):
    async with connect(f"{server.websocket_url}/closes-again") as websocket:
        assert await websocket.recv() == "still here"
        assert await closed(websocket) == (4000, "this time")
    server.wait_for_output("disconnect 4000 this time")


async def test_a_denial_without_a_status_is_500(server: ServeProcess):
    assert (await refused(f"{server.websocket_url}/denies-without-a-status")).status_code == 500


async def test_after_a_denial_that_may_not_be_a_better_one_is_sent(server: ServeProcess):
    response = await refused(f"{server.websocket_url}/denies-again")
    assert (response.status_code, response.body) == (451, b"no")


async def test_an_application_that_accepts_badly_and_no_more_is_as_late_as_any(server: ServeProcess):
    assert (await refused(f"{server.websocket_url}/accepts-badly-and-forgets")).status_code == 503
    server.wait_for_output("forgetful saw websocket.disconnect")


@pytest.mark.parametrize("path", ["/denies-half", "/denies-half-and-returns"])
def test_half_of_a_denial_is_cut_so_that_nobody_takes_it_for_a_whole_one(server: ServeProcess, path: str):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(handshake_request(path))
        with pytest.raises(ConnectionResetError):
            sum(1 for _ in iter(lambda: client.recv(4096), b""))


async def test_a_denial_that_fails_halfway_is_one_handshake(applications):
    with ServeProcess("mistaken:application", directory=applications) as it:
        with socket.create_connection(("127.0.0.1", it.port), timeout=30) as client:
            client.sendall(handshake_request("/denies-half"))
            with pytest.raises(ConnectionResetError):
                sum(1 for _ in iter(lambda: client.recv(4096), b""))
        assert it.metric('realtime_gateway_handshakes_total{result="rejected"}') == 1
        assert it.metric('realtime_gateway_handshakes_total{result="failed"}') == 0


def test_headers_of_accept_leave_byte_for_byte(server: ServeProcess):
    with RawClient(server.port, "/accepts-with-every-byte") as client:
        assert b"\r\nx-name: h\xe9\r\n" in client.head
        assert b"\r\nX-Bytes: " + bytes(range(128, 256)) + b"\r\n" in client.head
