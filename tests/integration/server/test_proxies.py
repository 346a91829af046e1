"""Who the application takes the client for, behind proxies that are trusted and without them."""

from __future__ import annotations

import json
import socket
import struct
from ipaddress import ip_address

import httpx
import pytest
from tests.integration.server.test_websocket import handshake_request, read_to_end
from tests.support.frames import RawClient
from tests.support.free_port import free_port
from tests.support.serve_process import ServeProcess
from tests.support.tls_certificate import TlsCertificate
from websockets.asyncio.client import connect

FORWARDED = {"X-Forwarded-For": "1.1.1.1, 198.51.100.7, 10.0.0.1", "X-Forwarded-Proto": "https"}
REQUEST = b"GET /scope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
V1 = b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n"


@pytest.fixture(scope="module")
def trusting(request):
    directory = request.path.parent / "applications"
    words = ("--trusted-proxy", "127.0.0.0/8", "--trusted-proxy", "10.0.0.0/8", "--max-connections-per-address", "1")
    with ServeProcess("conversations:application", *words, directory=directory) as running:
        yield running


def scope_after(it: ServeProcess, *pieces: bytes) -> dict:
    with socket.create_connection(("127.0.0.1", it.port), timeout=10) as client:
        for piece in pieces:
            client.sendall(piece)
        head, _, body = read_to_end(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    scope: dict = json.loads(body)
    return scope


def test_a_trusted_proxy_says_who_the_client_is(trusting: ServeProcess):
    scope = httpx.get(f"{trusting.url}/scope", headers=FORWARDED).json()
    assert (scope["client"], scope["scheme"]) == (["198.51.100.7", 0], "https")


async def test_a_websockets_scope_names_the_client_too_and_limits_count_it(trusting: ServeProcess):
    url = f"{trusting.websocket_url}/scope"
    async with connect(url, additional_headers=FORWARDED) as websocket:
        scope = json.loads(await websocket.recv())
        assert (scope["client"], scope["scheme"]) == (["198.51.100.7", 0], "wss")
        async with connect(url, additional_headers={"X-Forwarded-For": "198.51.100.8"}):
            pass
        with socket.create_connection(("127.0.0.1", trusting.port), timeout=10) as same:
            same.sendall(handshake_request("/echo").replace(b"Host: x", b"Host: x\r\nX-Forwarded-For: 198.51.100.7"))
            assert same.recv(4096).startswith(b"HTTP/1.1 429 ")


@pytest.mark.parametrize("words", [(), ("--trusted-proxy", "127.0.0.0/8")], ids=["nobody trusted", "balancer trusted"])
def test_twisteds_endpoint_haproxy_names_the_client(applications, words: tuple[str, ...]):
    port = free_port()
    listen = ("-e", f"haproxy:tcp:{port}:interface=127.0.0.1")
    with ServeProcess("conversations:application", *words, directory=applications, listen=listen) as it:
        it.port = port
        assert scope_after(it, V1 + REQUEST)["client"] == ["198.51.100.7", 4711]
        assert scope_after(it, V1, REQUEST)["client"] == ["198.51.100.7", 4711]
        with RawClient(port, "/scope", before=V1) as websocket:
            assert json.loads(websocket.frame()[1])["client"] == ["198.51.100.7", 4711]
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(
                V1 + V1.replace(b"198.51.100.7", b"9.9.9.9") + REQUEST
            )  # the second is the client's own word
            assert read_to_end(client).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("words", [(), ("--trusted-proxy", "127.0.0.0/8")], ids=["nobody trusted", "balancer trusted"])
def test_twisteds_endpoint_haproxy_over_tls_reads_the_header_inside_the_encryption(
    applications, tmp_path, words: tuple[str, ...]
):
    port, certificate = free_port(), TlsCertificate(tmp_path)
    serving = ServeProcess(
        *("conversations:application", *words),
        directory=applications,
        environment={"PYTHONWARNINGS": "default"},  # of Twisted's endpoint, as in test_tls
        listen=("-e", f"haproxy:{certificate.endpoint(port)}"),
    )
    with (
        serving,
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        certificate.trust().wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(V1 + REQUEST)
        scope = json.loads(read_to_end(client).partition(b"\r\n\r\n")[2])
        assert (scope["client"], scope["scheme"]) == (["198.51.100.7", 4711], "https")


def test_nobody_is_believed_where_nobody_is_trusted(server: ServeProcess):
    scope = httpx.get(f"{server.url}/scope", headers=FORWARDED).json()
    assert (scope["client"][0], scope["scheme"]) == ("127.0.0.1", "http")


def test_the_proxy_protocol_of_both_versions_names_the_client(trusting: ServeProcess):
    assert scope_after(trusting, V1 + REQUEST)["client"] == ["198.51.100.7", 4711]
    packed = ip_address("2001:db8::7").packed
    v2 = b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, 0x21, 36) + packed * 2 + struct.pack("!HH", 4711, 443)
    assert scope_after(trusting, v2 + REQUEST)["client"] == ["2001:db8::7", 4711]


def test_a_proxy_header_in_single_bytes_is_read_and_a_connection_without_one_served(trusting: ServeProcess):
    pieces = [bytes([byte]) for byte in V1 + REQUEST]
    assert scope_after(trusting, *pieces)["client"] == ["198.51.100.7", 4711]
    assert scope_after(trusting, REQUEST)["client"][0] == "127.0.0.1"


def test_a_client_behind_a_balancer_is_not_believed_about_itself(trusting: ServeProcess):
    """The PROXY protocol names a client that is not trusted: its X-Forwarded-For is its own word."""
    spoofed = REQUEST.replace(b"Host: x", b"Host: x\r\nX-Forwarded-For: 9.9.9.9")
    assert scope_after(trusting, V1 + spoofed)["client"] == ["198.51.100.7", 4711]


@pytest.mark.parametrize("header", [V1, b"PROXY nonsense\r\n"])
def test_a_proxy_header_from_somebody_else_is_a_bad_request(server: ServeProcess, header: bytes):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(header + REQUEST)
        assert read_to_end(client).startswith(b"HTTP/1.1 400 ")


def test_a_malformed_proxy_header_from_a_trusted_balancer_is_a_bad_request(trusting: ServeProcess):
    with socket.create_connection(("127.0.0.1", trusting.port), timeout=10) as client:
        client.sendall(b"PROXY nonsense\r\n" + REQUEST)
        assert b"The PROXY header is malformed" in read_to_end(client)
