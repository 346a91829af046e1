"""HTTP/2 over TLS, by httpx and by a client whose windows are the test's own; WebSockets on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import httpx
import pytest
from tests.integration.server.test_tls import WARNINGS
from tests.support.conditions import until
from tests.support.free_port import free_port
from tests.support.serve_process import ServeProcess
from tests.support.tls_certificate import TlsCertificate
from websockets.asyncio.client import connect

BODY_LIMIT_BYTES = 1_000_000
INBOX_BYTES = 256 * 1024  # of a body may wait for its application before the client is slowed down
GOAWAY = 7  # RFC 9113 section 6.8
MIB = 1024 * 1024
WIDEST_WINDOW_BYTES = 2**31 - 1
STREAMED_PIECES = 2000  # of 64 KiB
MAY_RISE_BYTES = 2 * MIB


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> TlsCertificate:
    return TlsCertificate(tmp_path_factory.mktemp("tls"))


@dataclass
class Secure:
    """A server that speaks TLS."""

    process: ServeProcess
    port: int
    certificate: TlsCertificate

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(http1=False, http2=True, verify=self.certificate.trust(), timeout=30)


Start = Callable[..., Secure]


@pytest.fixture
def start(applications, certificate: TlsCertificate) -> Iterator[Start]:
    running: list[ServeProcess] = []

    def start(*options: str, application: str = "conversations:application") -> Secure:
        port = free_port()
        listen = ("-e", certificate.endpoint(port))
        process = ServeProcess(application, *options, directory=applications, environment=WARNINGS, listen=listen)
        running.append(process)
        return Secure(process.start(), port, certificate)

    yield start
    for process in running:
        process.stop()


@dataclass
class GoAway:
    """The server takes no request after this one."""

    last_stream: int
    code: int


@dataclass
class Conversation:
    """A connection whose client decides about each frame."""

    socket: ssl.SSLSocket
    protocol: h2.connection.H2Connection
    events: list[Any] = field(default_factory=list)
    bodies: dict[int, list[bytes]] = field(default_factory=dict)
    ended: bool = False
    _unread: bytes = b""

    def send(self) -> None:
        self.socket.sendall(self.protocol.data_to_send())

    def ask(self, method: str, path: str, *headers: tuple[str, str], end: bool = True) -> int:
        stream: int = self.protocol.get_next_available_stream_id()
        head = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "x"), *headers]
        self.protocol.send_headers(stream, head, end_stream=end)
        self.send()
        return stream

    def pour(self, stream: int, size: int) -> None:
        """Send so much of a body, as the server's windows allow."""
        while size:
            window = self.protocol.local_flow_control_window(stream)
            if window <= 0:
                self.until(h2.events.WindowUpdated)
                continue
            piece = b"x" * min(size, window, self.protocol.max_outbound_frame_size)
            self.protocol.send_data(stream, piece)
            self.send()
            size -= len(piece)

    def pour_until_it_has_to_wait(self, stream: int) -> int:
        """Send of a body whatever the server allows; return how much that was."""
        size = 0
        while window := self.protocol.local_flow_control_window(stream):
            self.pour(stream, window)
            size += window
            self.answer(self.ask("GET", "/"))  # what the server has said of windows by now came before this
        return size

    def is_cut(self) -> bool:
        """Wait for more or for the end; say whether it was the end, without a word of the protocol."""
        with contextlib.suppress(ConnectionError):
            while received := self.socket.recv(65536):
                self.events += self._events_of(received)
        return not any(isinstance(event, GoAway) for event in self.events)

    def set(self, **settings: int) -> None:
        self.protocol.update_settings({h2.settings.SettingCodes[name]: value for name, value in settings.items()})
        self.send()

    def await_the_end(self) -> None:
        """Wait until the server has closed its socket, which TLS alone does not show."""
        with socket.socket(fileno=self.socket.detach()) as bare, contextlib.suppress(ConnectionError):
            bare.settimeout(30)
            while bare.recv(65536):
                pass

    def until(self, kind: type, stream: int | None = None) -> Any:
        """Wait for an event of this kind, of this stream; those before it are kept in ``events``."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and stream in (None, getattr(event, "stream_id", None)):
                    self.events.remove(event)
                    return event
            assert not self.ended, f"the connection has ended: {self.events}"
            received = self.socket.recv(65536)
            self.ended = not received
            for event in self._events_of(received):
                if isinstance(event, h2.events.DataReceived):
                    self.bodies.setdefault(event.stream_id, []).append(event.data)
                    self.protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.events.append(event)
            self.send()

    def _events_of(self, received: bytes) -> list[Any]:
        """Let the protocol take whole frames, but for a GOAWAY: h2 would take nothing after it, not even answers."""
        self._unread += received
        events: list[Any] = []
        while len(self._unread) >= 9 and len(self._unread) >= 9 + int.from_bytes(self._unread[:3], "big"):
            size = 9 + int.from_bytes(self._unread[:3], "big")
            frame, self._unread = self._unread[:size], self._unread[size:]
            if frame[3] == GOAWAY:
                last, code = struct.unpack("!II", frame[9:17])
                events.append(GoAway(last, code))
            else:
                events += self.protocol.receive_data(frame)
        return events

    def answer(self, stream: int) -> tuple[int, bytes]:
        """Return status and body of a response; everything that comes meanwhile is taken."""
        head = dict(self.until(h2.events.ResponseReceived, stream).headers)
        self.until(h2.events.StreamEnded, stream)
        return int(head[b":status"]), b"".join(self.bodies.pop(stream, []))

    def pieces(self) -> int:
        """Wait for more of any body; return how much came."""
        return len(self.until(h2.events.DataReceived).data)


@pytest.fixture
def converse() -> Iterator[Callable[..., Conversation]]:
    opened: list[socket.socket] = []

    def converse(server: Secure, **settings: int) -> Conversation:
        trust = server.certificate.trust()
        trust.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        secure = trust.wrap_socket(plain, server_hostname="127.0.0.1")
        opened.append(secure)
        protocol = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        conversation = Conversation(secure, protocol)
        protocol.initiate_connection()
        conversation.set(**settings)
        return conversation

    yield converse
    for client in opened:
        client.close()


async def test_a_request_is_answered_over_http_2_and_its_scope_says_so(start: Start):
    server = start()
    async with server.client() as client:
        response = await client.get(f"{server.url}/scope?a=b")
    assert response.http_version == "HTTP/2"
    scope = response.json()
    assert (scope["http_version"], scope["scheme"], scope["method"]) == ("2", "https", "GET")
    assert (scope["path"], scope["query_string"], scope["client"][0]) == ("/scope", "a=b", "127.0.0.1")
    assert ["host", f"127.0.0.1:{server.port}"] in scope["headers"]


async def test_requests_of_one_connection_are_answered_at_the_same_time(start: Start, tmp_path):
    server, gate = start(), tmp_path / "gate"
    async with server.client() as client:
        slow = asyncio.create_task(client.get(f"{server.url}/slow?until={gate}"))
        await until(lambda: "slow began" in server.process.output)
        for _ in range(20):
            assert (await client.get(server.url)).text == "hello"
        gate.touch()
        assert (await slow).text == "done"


async def test_a_response_in_pieces_comes_whole(start: Start):
    server = start()
    async with server.client() as client, client.stream("GET", f"{server.url}/stream?count=100") as response:
        received = 0
        async for piece in response.aiter_bytes():
            received += len(piece)
    assert received == 100 * 65536


async def test_a_websocket_is_opened_by_http_1_on_the_same_port(start: Start):
    server = start()
    async with (
        server.client() as client,
        connect(f"wss://127.0.0.1:{server.port}/echo", ssl=server.certificate.trust()) as websocket,
    ):
        assert (await client.get(server.url)).http_version == "HTTP/2"
        await websocket.send("hello")
        assert await websocket.recv() == "hello"


def test_a_body_over_the_limit_is_413_by_its_length_before_it_is_sent(start: Start, converse):
    server = start("--max-body-bytes", str(BODY_LIMIT_BYTES))
    it = converse(server)
    stream = it.ask("POST", "/body", ("content-length", "3000000"), end=False)
    assert it.answer(stream) == (413, b"The body of a request may have %d bytes.\n" % BODY_LIMIT_BYTES)
    assert it.until(h2.events.StreamReset, stream).error_code == 0
    assert it.answer(it.ask("GET", "/")) == (200, b"hello")
    server.process.wait_for_output("Limit http.maxBodySize met by 127.0.0.1: answered with 413")
    assert "Traceback" not in server.process.output


def test_a_body_that_exceeds_the_limit_as_it_comes_is_413(start: Start, converse):
    server = start("--max-body-bytes", str(BODY_LIMIT_BYTES))
    it = converse(server)
    stream = it.ask("POST", "/body", end=False)
    it.pour(stream, BODY_LIMIT_BYTES)
    it.protocol.end_stream(stream)
    it.send()
    status, answer = it.answer(stream)
    assert (status, sum(json.loads(answer))) == (200, BODY_LIMIT_BYTES)
    stream = it.ask("POST", "/body", end=False)
    it.pour(stream, BODY_LIMIT_BYTES + 1)
    assert it.answer(stream)[0] == 413
    assert it.until(h2.events.StreamReset, stream).error_code == 0
    assert it.answer(it.ask("GET", "/")) == (200, b"hello")
    assert "Traceback" not in server.process.output


def test_bodies_reach_their_applications_as_they_come_and_the_client_waits_for_each_alone(
    start: Start, converse, tmp_path
):
    server, gate = start(), tmp_path / "gate"
    it = converse(server)
    sent = {}
    for _ in range(3):  # what is kept of one does not keep the others' from coming
        stream = it.ask("POST", f"/gated-body?until={gate}", end=False)
        sent[stream] = it.pour_until_it_has_to_wait(stream)
        assert INBOX_BYTES < sent[stream] < 2 * INBOX_BYTES
    assert server.process.output.count("body begins") == 3
    gate.touch()
    for stream, size in sent.items():
        it.protocol.end_stream(stream)
        it.send()
        assert it.answer(stream) == (200, str(size).encode())


def test_an_answer_before_the_end_of_a_body_tells_the_client_to_send_no_more_of_it(start: Start, converse):
    it = converse(start())
    stream = it.ask("POST", "/", end=False)
    assert it.answer(stream) == (200, b"hello")
    assert it.until(h2.events.StreamReset, stream).error_code == 0
    assert it.answer(it.ask("GET", "/")) == (200, b"hello")


def test_what_a_client_does_not_take_is_not_kept_for_it_however_wide_it_opens_its_window(start: Start, converse):
    server = start()
    neighbour, it = converse(server), converse(server, INITIAL_WINDOW_SIZE=WIDEST_WINDOW_BYTES)
    for _ in range(20):
        assert neighbour.answer(neighbour.ask("GET", "/")) == (200, b"hello")
    it.protocol.increment_flow_control_window(WIDEST_WINDOW_BYTES - 65_535)
    before = server.process.resident_bytes()
    it.ask("GET", f"/stream?count={STREAMED_PIECES}")
    highest = before
    for _ in range(100):
        assert neighbour.answer(neighbour.ask("GET", "/")) == (200, b"hello")
        highest = max(highest, server.process.resident_bytes())
    assert server.process.output.count("streamed") < STREAMED_PIECES / 2
    assert highest - before < MAY_RISE_BYTES, f"{(highest - before) / MIB:.1f} MiB"
    # When it reads again, it gets all of it.
    received = 0
    while received < STREAMED_PIECES * 65536:
        received += it.pieces()


def test_a_head_over_the_limit_ends_the_connection_and_the_log_says_why(start: Start, converse):
    server = start("--max-head-bytes", "4000")
    it = converse(server)
    assert it.answer(it.ask("GET", "/", ("x-long", "x" * 2000))) == (200, b"hello")
    it.ask("GET", "/", ("x-long", "x" * 5000))
    assert it.until(GoAway).code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
    server.process.wait_for_output("Limit http.maxHeadSize met by 127.0.0.1")
    it.await_the_end()


def test_a_connection_without_a_request_is_cut_at_its_deadline(start: Start, converse):
    server = start("--head-timeout-seconds", "1")
    it = converse(server)
    assert it.is_cut()
    assert "Limit http.headTimeoutSeconds met by 127.0.0.1: cut" in server.process.output


def test_a_response_that_fails_midway_is_reset_and_the_connection_goes_on(start: Start, converse):
    it = converse(start())
    stream = it.ask("GET", "/fail-midway")
    assert it.until(h2.events.StreamReset, stream).error_code == h2.errors.ErrorCodes.INTERNAL_ERROR
    assert it.answer(it.ask("GET", "/fail"))[0] == 500
    assert it.answer(it.ask("GET", "/")) == (200, b"hello")


def test_a_request_that_its_client_gives_up_is_told_to_its_application(start: Start, converse):
    server = start()
    it = converse(server)
    stream = it.ask("GET", "/wait-for-disconnect")
    server.process.wait_for_output("waiting")
    it.protocol.reset_stream(stream)
    it.send()
    server.process.wait_for_output("http saw http.disconnect")
    assert it.answer(it.ask("GET", "/")) == (200, b"hello")


def test_who_waits_for_the_application_is_not_idle_and_who_stops_amid_a_body_is(start: Start, converse, tmp_path):
    server, gate = start(application="impatient:application"), tmp_path / "gate"
    it = converse(server)
    slow, stalled = it.ask("GET", f"/slow?until={gate}"), it.ask("POST", "/body", end=False)
    it.until(h2.events.StreamReset, stalled)
    for _ in range(2):  # each is ended after one second
        idle = converse(server)
        assert idle.answer(idle.ask("GET", "/")) == (200, b"hello")
        assert idle.until(GoAway).code == 0
    gate.touch()
    assert it.answer(slow) == (200, b"done")


def test_a_drain_finishes_requests_takes_no_others_and_ends_the_connection(start: Start, converse, tmp_path):
    server, gate = start("--drain-seconds", "600"), tmp_path / "gate"
    idle, it = converse(server), converse(server)
    assert idle.answer(idle.ask("GET", "/")) == (200, b"hello")
    large, slow = it.ask("GET", "/large?size=3000000"), it.ask("GET", f"/slow?until={gate}")
    server.process.wait_for_output("slow began")
    server.process.terminate()
    assert idle.until(GoAway) == GoAway(1, 0)
    assert it.until(GoAway) == GoAway(slow, 0)
    gate.touch()
    assert it.answer(slow) == (200, b"done")
    assert len(it.answer(large)[1]) == 3_000_000
    assert server.process.wait() == 0
    assert "Traceback" not in server.process.output
