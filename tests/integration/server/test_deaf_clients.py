"""Clients that take nothing of what is sent to them: none holds its connection, or its application, for ever."""

# ruff: noqa: F811  (fixtures that are imported)
from __future__ import annotations

import contextlib
import fcntl
import socket
import ssl
import sys
import termios
import time
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
SENT = "realtime_gateway_messages_sent_total"
LOOKS = 20
# With limits of one second, which are looked at once in each.
SEVERAL_PERIODS_SECONDS = 3.5
LITTLE_BYTES = 256 * 1024
LONG_BYTES = 32 * MIB
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
        wait_until(lambda: _stands_still(patient, client))
        sent = patient.metric(SENT)
        client.sendall(CLOSE)
        patient.wait_for_output("disconnect 1000")
        wait_until(lambda: patient.metric(WEBSOCKETS) == 0)
        assert patient.metric(SENT) == sent, "the client could have been told"


def _stands_still(it: ServeProcess, client: socket.socket) -> bool:
    """Say whether the server sends nothing while its loop goes round, as what it has sent fills the client's window.

    Each look is an answer of the loop that the application runs in, which sends in every turn in which it can.
    """
    sent, arrived = it.metric(SENT), _unread(client)
    looks = (it.metric(SENT) == sent and _unread(client) == arrived for _ in range(LOOKS))
    return sent > 0 and arrived > 0 and all(looks)


def _unread(client: socket.socket) -> int:
    """How many bytes wait in the socket for the client."""
    return int.from_bytes(fcntl.ioctl(client, termios.FIONREAD, bytes(4)), sys.byteorder)


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


def test_a_client_that_does_not_read_a_denial_in_pieces_is_cut(applications):
    with ServeProcess("conversations:application", "--send-timeout-seconds", "1", directory=applications) as it:
        with deaf(it.port, handshake_request("/deny-in-pieces?count=2000")):
            it.wait_for_output("Limit http.sendTimeoutSeconds met by")
            it.wait_for_output("disconnect 1006")
            wait_until(lambda: connections(it, it.port) == 0)
        assert it.metric(WEBSOCKETS) == 0
        assert limits_met(it, "http.sendTimeoutSeconds") == 1


def test_a_client_that_reads_a_denial_in_pieces_slowly_is_not_cut(applications):
    options = ("--send-timeout-seconds", "1", "--send-queue-seconds", "1")
    with (
        ServeProcess("conversations:application", *options, directory=applications) as it,
        deaf(it.port, handshake_request("/deny-in-pieces?count=1&size=150000000")) as slow,
    ):
        begun = time.monotonic()
        while time.monotonic() - begun < SEVERAL_PERIODS_SECONDS:
            _have_turns(it)
            _take(slow, LITTLE_BYTES)
        assert "denied in pieces" not in it.output, "nothing waits for it"
        assert it.metric(WEBSOCKETS) == 1
        assert limits_met(it, "http.sendTimeoutSeconds") == 0


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


def test_a_client_that_catches_up_now_and_then_stays(applications):
    options = ("--send-queue-seconds", "1", "--send-timeout-seconds", "1")
    with ServeProcess("conversations:application", *options, directory=applications) as it:
        with deaf(it.port, handshake_request("/drip")) as slow:
            wait_until(lambda: _stands_still(it, slow), 30)
            begun = time.monotonic()
            while time.monotonic() - begun < SEVERAL_PERIODS_SECONDS:
                sent = it.metric(SENT)
                while it.metric(SENT) == sent:
                    _take(slow, LITTLE_BYTES)
                wait_until(lambda: _stands_still(it, slow), 30)
            assert it.metric(WEBSOCKETS) == 1
        assert limits_met(it, "websocket.sendQueueSeconds") == 0


def test_a_client_that_reads_little_but_goes_on_reading_stays(applications):
    """Something waits for it all the time, and it takes some of it in each period."""
    options = ("--send-queue-seconds", "1", "--send-timeout-seconds", "1", "--send-queue-bytes", "200000000")
    with ServeProcess("conversations:application", *options, directory=applications) as it:
        with deaf(it.port, handshake_request("/large-messages?size=50000000")) as slow:
            begun, taken = time.monotonic(), 0
            while time.monotonic() - begun < SEVERAL_PERIODS_SECONDS:
                _have_turns(it)
                _take(slow, LITTLE_BYTES)
                taken += LITTLE_BYTES
            assert it.metric(WEBSOCKETS) == 1
            assert it.metric(SENT) < 3, "nothing waits for it"
        assert limits_met(it, "websocket.sendQueueSeconds") == 0


def _have_turns(it: ServeProcess) -> None:
    """Let the loop of the server go round some times: it sends whatever it can."""
    for _ in range(LOOKS):
        assert it.admin("healthz")[0] == 200


def _take(client: socket.socket, size: int) -> None:
    """Read so much."""
    left = size
    while left:
        received = client.recv(left)
        assert received, "the server has closed"
        left -= len(received)


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


@pytest.mark.parametrize(
    "path", [f"/stream?count=2&size={LONG_BYTES // 2}", f"/large?size={LONG_BYTES}"], ids=["in pieces", "at once"]
)
def test_a_stream_of_http2_whose_client_reads_slowly_goes_on(start: Start, converse, path: str):
    """Each piece waits for the client for several periods, and it takes some of it in each."""
    it = start("--send-timeout-seconds", "1")
    client = converse(it)
    stream = client.ask("GET", path)
    begun, received = time.monotonic(), 0
    while time.monotonic() - begun < SEVERAL_PERIODS_SECONDS:
        _have_turns(it.process)
        received += client.pieces()
    assert received < LONG_BYTES // 2, "the client does not read slowly"
    while received < LONG_BYTES:
        received += client.pieces()
    client.until(h2.events.StreamEnded, stream)
    assert limits_met(it.process, "http.sendTimeoutSeconds") == 0
