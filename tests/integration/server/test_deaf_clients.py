"""Clients that take nothing of what is sent to them: none holds its connection, or its application, for ever."""

# ruff: noqa: F811  (fixtures that are imported)
from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import h2.events
import psutil
import pytest
from tests.integration.server.test_http2 import (  # noqa: F401  (fixtures)
    WIDEST_WINDOW_BYTES,
    Secure,
    Start,
    certificate,
    converse,
    start,
)
from tests.integration.server.test_limits import limits_met
from tests.integration.server.test_websocket import handshake_request
from tests.support.conditions import wait_until
from tests.support.frames import RawClient, client_frame
from tests.support.serve_process import ServeProcess

MIB = 1024 * 1024
MAY_RISE_BYTES = 2 * MIB
CLOSE = client_frame(0x88, b"\x03\xe8")
WEBSOCKETS = 'realtime_gateway_connections{protocol="websocket"}'
REQUESTS = 'realtime_gateway_connections{protocol="http"}'
# Nothing but the time of a closing handshake ends a client in these.
NOTHING_ELSE = ("--ping-interval", "0", "--send-queue-seconds", "600", "--send-timeout-seconds", "600")


@pytest.fixture(scope="module")
def patient() -> Iterator[ServeProcess]:
    directory = Path(__file__).parent / "applications"
    with ServeProcess("conversations:application", *NOTHING_ELSE, directory=directory) as running:
        yield running


@contextlib.contextmanager
def deaf(port: int, *requests: bytes) -> Iterator[socket.socket]:
    """A client with a small window that reads nothing."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(("127.0.0.1", port))
        client.sendall(b"".join(requests))
        yield client


@contextlib.contextmanager
def deaf_over_tls(it: Secure, *requests: bytes) -> Iterator[ssl.SSLSocket]:
    """A client that has finished its TLS handshake, and neither reads nor says farewell."""
    trust = it.certificate.trust()
    with (
        socket.create_connection(("127.0.0.1", it.port), timeout=30) as plain,
        trust.wrap_socket(plain, server_hostname="127.0.0.1") as client,
    ):
        client.sendall(b"".join(requests))
        yield client


def connections(it: ServeProcess, port: int) -> int:
    """Return how many sockets of clients the server has."""
    assert it.process is not None
    open_ones = psutil.Process(it.process.pid).net_connections("tcp")
    return sum(each.laddr.port == port and each.status != psutil.CONN_LISTEN for each in open_ones)


# A client that closes.


def test_a_client_that_closes_and_reads_nothing_leaves_its_application_free(patient: ServeProcess):
    with deaf(patient.port, handshake_request("/drip")) as client:
        wait_until(lambda: _stands_still(patient))
        client.sendall(CLOSE)
        patient.wait_for_output("disconnect 1000")
        wait_until(lambda: patient.metric(WEBSOCKETS) == 0)


def _stands_still(it: ServeProcess) -> bool:
    """Say whether nothing is sent for a while."""
    line = "realtime_gateway_messages_sent_total"
    before = it.metric(line)
    return before > 0 and all(it.metric(line) == before for _ in range(20))


def test_a_client_that_closes_and_leaves_tls_open_is_cut(start: Start):
    it = start(*NOTHING_ELSE)
    with deaf_over_tls(it, handshake_request("/echo"), CLOSE):
        it.process.wait_for_output("disconnect 1000")
        wait_until(lambda: it.process.metric(WEBSOCKETS) == 0)


# A client that is refused.


def test_a_client_that_is_refused_and_leaves_tls_open_is_cut(start: Start):
    it = start(*NOTHING_ELSE)
    with deaf_over_tls(it, b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n"):
        it.process.wait_for_output("Limit http.maxHeadSize met by")
        wait_until(lambda: connections(it.process, it.port) == 0)


def test_a_client_that_is_rejected_and_leaves_tls_open_is_cut(start: Start):
    it = start(*NOTHING_ELSE)
    with deaf_over_tls(it, handshake_request("/reject")):
        it.process.wait_for_output("disconnect 1006")
        wait_until(lambda: connections(it.process, it.port) == 0)
        assert it.process.metric(WEBSOCKETS) == 0


def test_a_client_that_does_not_read_why_it_is_denied_is_cut(patient: ServeProcess):
    with deaf(patient.port, handshake_request("/deny-at-length?size=20000000")):
        patient.wait_for_output("disconnect 1006")
        wait_until(lambda: connections(patient, patient.port) == 0)
        assert patient.metric(WEBSOCKETS) == 0


def test_a_client_that_leaves_tls_open_after_a_response_is_cut(start: Start):
    it = start("--send-timeout-seconds", "1")
    with deaf_over_tls(it, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as client:
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        wait_until(lambda: connections(it.process, it.port) == 0)


# A client that stays.


def test_a_client_that_floods_and_does_not_read_the_answers_has_to_answer_pings(applications):
    options = ("--ping-interval", "1", "--ping-timeout", "2", "--send-queue-seconds", "600")
    with (
        ServeProcess("conversations:application", *options, directory=applications) as it,
        deaf(it.port, handshake_request("/echo")) as client,
    ):
        frame = client_frame(0x82, b"x" * 60_000)
        with contextlib.suppress(OSError):  # it is taken until neither side reads, and cut in the end
            for _ in range(1000):
                client.sendall(frame)
        it.wait_for_output("disconnect 1006 no answer to a ping")


def test_a_client_that_reads_nothing_of_small_messages_is_closed_with_1013_at_the_default_queue(applications):
    with ServeProcess("conversations:application", "--send-queue-seconds", "1", directory=applications) as it:
        with RawClient(it.port, "/drip") as warm:
            for _ in range(10_000):
                assert warm.frame() == (0x82, b"x" * 100)
        before = it.resident_bytes()
        with deaf(it.port, handshake_request("/drip")):
            it.wait_for_output("disconnect 1013 the client reads too slowly")
            rise = it.resident_bytes() - before
        assert it.metric('realtime_gateway_connections_closed_total{reason="slow_client"}') == 1
        assert limits_met(it, "websocket.sendQueueSeconds") == 1
        assert rise <= MAY_RISE_BYTES, f"{rise / MIB:.1f} MiB"


def test_a_client_that_reads_little_but_goes_on_reading_stays(applications):
    options = ("--send-queue-seconds", "1", "--send-timeout-seconds", "1")
    with ServeProcess("conversations:application", *options, directory=applications) as it:
        with deaf(it.port, handshake_request("/drip")) as slow:
            for _ in range(50):
                wait_until(lambda: _takes(it, slow))
        assert limits_met(it, "websocket.sendQueueSeconds") == 0


def _takes(it: ServeProcess, client: socket.socket) -> bool:
    """Read so much that the server notices, after a while."""
    it.admin("healthz")
    return bool(client.recv(200_000))


# A client that asks by HTTP.


@pytest.mark.parametrize(
    ("path", "connection"),
    [
        ("/stream?count=2000", "close"),
        ("/stream?count=2000", "keep-alive"),
        ("/large?size=50000000", "close"),
        ("/large?size=50000000", "keep-alive"),
    ],
)
def test_a_client_that_does_not_read_its_response_is_cut(applications, path: str, connection: str):
    with ServeProcess("conversations:application", "--send-timeout-seconds", "1", directory=applications) as it:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n".encode()
        with deaf(it.port, request) as client:
            assert client.recv(15, socket.MSG_PEEK) == b"HTTP/1.1 200 OK"
            assert connections(it, it.port) == 1
            wait_until(lambda: connections(it, it.port) == 0)
        assert it.metric(REQUESTS) == 0
        assert limits_met(it, "http.sendTimeoutSeconds") == 1
        assert "Limit http.sendTimeoutSeconds met by 127.0.0.1: cut" in it.output


def large(connection: bytes = b"keep-alive") -> bytes:
    return b"GET /large?size=50000000 HTTP/1.1\r\nHost: x\r\nConnection: " + connection + b"\r\n\r\n"


def test_a_client_that_takes_a_large_response_slowly_keeps_its_connection(applications):
    with (
        ServeProcess("conversations:application", "--send-timeout-seconds", "1", directory=applications) as it,
        deaf(it.port, b"GET /large?size=8000000 HTTP/1.1\r\nHost: x\r\n\r\n") as slow,
    ):
        received = 0
        while received < 8_000_000:
            it.admin("healthz")
            received += len(slow.recv(40_000))
        with deaf(it.port, large()):  # longer than a slow one would be left
            wait_until(lambda: limits_met(it, "http.sendTimeoutSeconds") == 1)
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = slow.recv(4096)
        while b"hello" not in head:
            head += slow.recv(4096)
        assert b"HTTP/1.1 200 OK" in head


def test_a_response_before_a_websocket_is_watched_no_more_when_that_has_the_connection(applications):
    options = ("--send-timeout-seconds", "1", "--send-queue-seconds", "600")
    with (
        ServeProcess("conversations:application", *options, directory=applications) as it,
        deaf(it.port, large(), handshake_request("/echo")),
    ):
        wait_until(lambda: it.metric(WEBSOCKETS) == 1)
        with deaf(it.port, large()):  # as long as the first would be left
            wait_until(lambda: limits_met(it, "http.sendTimeoutSeconds") == 1)
        assert it.metric(WEBSOCKETS) == 1


@pytest.mark.parametrize("path", ["/stream?count=2000", "/large?size=200000"], ids=["in pieces", "at once"])
def test_a_stream_of_http2_whose_client_opens_no_window_is_reset_and_the_others_go_on(
    start: Start, converse, path: str
):
    it = start("--send-timeout-seconds", "1")
    client = converse(it)
    stream = client.ask("GET", path)
    it.process.wait_for_output("Limit http.sendTimeoutSeconds met by 127.0.0.1: cut")
    assert it.process.metric(REQUESTS) == 0
    client.until(h2.events.StreamReset, stream)
    assert client.answer(client.ask("GET", "/")) == (200, b"hello")


def test_a_stream_of_http2_whose_client_reads_nothing_at_all_is_given_up(start: Start, converse):
    it = start("--send-timeout-seconds", "1")
    client = converse(it, INITIAL_WINDOW_SIZE=WIDEST_WINDOW_BYTES)
    client.protocol.increment_flow_control_window(WIDEST_WINDOW_BYTES - 65_535)
    client.ask("GET", "/stream?count=2000")
    it.process.wait_for_output("Limit http.sendTimeoutSeconds met by 127.0.0.1: cut")
    assert it.process.metric(REQUESTS) == 0


def test_a_stream_of_http2_whose_client_reads_slowly_goes_on(start: Start, converse):
    it = start("--send-timeout-seconds", "1")
    client = converse(it)
    stream = client.ask("GET", "/stream?count=6")
    received = 0
    while received < 6 * 65_536:
        for _ in range(3):
            it.process.wait_until(lambda: _goes_on(it), "serving", 10)
        received += client.pieces()
    client.until(h2.events.StreamEnded, stream)
    assert limits_met(it.process, "http.sendTimeoutSeconds") == 0


def _goes_on(it: Secure) -> bool:
    return it.process.admin("healthz")[0] == 200
