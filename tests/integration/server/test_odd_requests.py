"""Requests that break HTTP/1.1 are refused, each in one way, and nobody else notices; `make fuzz` takes longer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from tests.fuzz.odd_requests import FAULTS, attempt
from tests.fuzz.requests import LOOPS, attentive, try_all
from tests.integration.server.test_deaf_clients import limits_met
from tests.support import figures
from tests.support.serve_process import ServeProcess

WARM = range(400)
MEASURED = range(400, 1200)
MAY_RISE_BYTES = 8 * 1024 * 1024


# What asks has a channel and a request itself.
NOTHING_LEFT = {"GatewayChannel": 1, "GatewayRequest": 1}


@pytest.mark.parametrize("loop", LOOPS)
async def test_odd_requests_are_refused_each_in_one_way_and_leave_nothing(loop: str):
    with attentive(loop) as it:
        await try_all(it, loop, WARM)
        assert objects(it) == NOTHING_LEFT
        before = it.resident_bytes()
        await try_all(it, loop, MEASURED)
        assert objects(it) == NOTHING_LEFT
        rise = it.resident_bytes() - before
        figures.show(f"{len(MEASURED)} odd requests on {loop}: memory rises by {rise / 1024:.0f} KiB")
        assert rise <= MAY_RISE_BYTES
        it.terminate()
        assert it.wait() == 0


def objects(it: ServeProcess) -> dict[str, int]:
    """Return how many of the server's objects live after its garbage is collected."""
    living: dict[str, int] = httpx.get(f"{it.url}/objects").json()
    return living


def test_every_fault_is_among_them():
    assert FAULTS.keys() <= {attempt(seed).name for seed in (*WARM, *MEASURED)}


def test_an_attempt_is_the_same_each_time():
    assert [attempt(seed) for seed in range(50)] == [attempt(seed) for seed in range(50)]


@pytest.fixture(scope="module")
def attended() -> Iterator[ServeProcess]:
    with attentive("uvloop") as it:
        yield it


def test_a_body_that_goes_wrong_amid_its_response_cuts_that(attended: ServeProcess):
    with socket.create_connection(("127.0.0.1", attended.port), timeout=30) as client:
        client.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        received = b""
        while b"5\r\nearly\r\n" not in received:
            received += client.recv(4096)
        client.sendall(b"what?\r\n")
        try:
            rest = client.recv(4096)
        except ConnectionResetError:
            rest = b""
    assert rest == b"", "somebody might take it for a part of the response, or for the next one"
    assert limits_met(attended, "HTTP/1.1 syntax") >= 1


def test_a_target_in_absolute_form_names_the_host(server: ServeProcess):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"GET http://other:81/scope?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        with client.makefile("rb") as answer:
            scope = httpx.Response(200, content=answer.read().partition(b"\r\n\r\n")[2]).json()
    assert (scope["path"], scope["query_string"], dict(scope["headers"])["host"]) == ("/scope", "a=b", "other:81")


@pytest.mark.parametrize("options", ["close", "Close", "keep-alive, close", "close, x"])
def test_a_client_that_says_close_hears_the_end(server: ServeProcess, options: str):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: {options}\r\n\r\n".encode())
        with client.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head.lower()
    assert body == b"hello"


def test_the_first_line_of_a_later_request_has_to_come_in_time_too(attended: ServeProcess):
    with socket.create_connection(("127.0.0.1", attended.port), timeout=30) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\nGET")
        with client.makefile("rb") as answer:
            received = answer.read()
    assert b"POST / 0HTTP/1.1 408 " in received
