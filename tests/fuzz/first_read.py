"""The two ways into a WebSocket, in a process of their own: python -m tests.fuzz.first_read [examples].

A request that comes whole is read without an HTTP channel where it is ordinary; the same bytes in two pieces always
have one. Whatever the request is, the application sees the same scope, the client hears the same bytes, and the access
log and the metrics say the same. What is ordinary takes the short way, and what is odd in any way does not. The
transports are the server's own, on real sockets; only what comes from the client is handed to them piece by piece.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_gateway.server.gateway_server import GatewayServer, reactor
from realtime_gateway.server.options import ServerOptions
from realtime_gateway.server.prompt_transport import PromptTransport
from realtime_gateway.telemetry import recorder
from tests.fuzz.frame_path import frame

HEAD_BYTES = 4000
HEAD_SECONDS = 3600
PEER = ("192.0.2.7", 4711)
TURNS = 12  # of the loop, in which everything that is handed over comes to its end
EARLY = frame(0x81, b"early", b"mask") + frame(0x82, b"\x00\x01", b"keys")


@dataclass(frozen=True)
class Outcome:
    """What one connection has led to.

    Attributes:
        scopes: of the application's calls, without the objects in them.
        heard: what the client was sent, up to the end.
        entries: of the access log.
        handshakes: how much each count of the metric has grown.
    """

    scopes: list[dict[str, Any]]
    heard: bytes
    entries: list[Any]
    handshakes: dict[str, float]


class Bench:
    """A server whose connections are made here, and an application that echoes."""

    def __init__(self, trusted_proxies: tuple[str, ...] = ()) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.entries: list[Any] = []
        self.channels = 0
        options = ServerOptions(
            compression=True,
            trusted_proxies=trusted_proxies,
            max_head_bytes=HEAD_BYTES,
            head_timeout_seconds=HEAD_SECONDS,
            blocked_loop_seconds=0,
        )
        self.server = GatewayServer(
            self.application,
            endpoints=["tcp:0"],
            options=options,
            root_path="/under",
            ping_interval=0,
            action_logger=self._log,
        )
        self.loop = self.server.loop
        self._build_channel = self.server.http_factory.build_channel
        self.server.http_factory.build_channel = self._counted  # type: ignore[method-assign]

    def _counted(self, began: float) -> Any:
        self.channels += 1
        return self._build_channel(began)

    def _log(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        self.entries.append((protocol, action, {**details, "time_taken": None}))

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append({**scope, "extensions": sorted(scope.get("extensions", ()))})
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
            await send({"type": "http.response.body", "body": b"hello"})
            return
        await receive()
        await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})

    def outcome(self, *pieces: bytes) -> tuple[Outcome, int]:
        """Return what the pieces lead to, and how many channels were made for them."""
        return self.loop.run_until_complete(self._outcome(pieces))

    async def _outcome(self, pieces: tuple[bytes, ...]) -> tuple[Outcome, int]:
        self.scopes, self.entries, self.channels = [], [], 0
        before = dict(recorder.handshakes.values)
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as it:
            accepted, _ = listener.accept()
            # The port that it stands for is part of the scope.
            transport = PromptTransport(Local(accepted), self._first(), PEER, None, 1, reactor)
            transport.protocol.makeConnection(transport)
            for piece in pieces:
                if transport.connected and not transport.disconnecting:
                    transport.protocol.dataReceived(piece)
                await self._turns()
            if transport.connected:
                transport.abortConnection()
            await self._turns()
            heard = received(it)
        living = (self.server._websockets, self.server._requests, self.server.http_factory.unheard)
        assert not any(living), living
        now = recorder.handshakes.values
        grown = {label: now[label] - before.get(label, 0) for label in now if now[label] != before.get(label, 0)}
        return Outcome(self.scopes, heard, self.entries, grown), self.channels

    def late(self) -> bytes:
        """Return what a client hears whose first byte comes when the time for a whole head is over."""
        return self.loop.run_until_complete(self._late())

    async def _late(self) -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as it:
            accepted, _ = listener.accept()
            first = self._first()
            transport = PromptTransport(Local(accepted), first, PEER, None, 1, reactor)
            first.makeConnection(transport)
            first._began -= HEAD_SECONDS
            first.dataReceived(b"G")
            async with asyncio.timeout(60):
                while transport.connected:  # it lingers, and is cut
                    await asyncio.sleep(0.01)
            return received(it)

    def _first(self) -> Any:
        return self.server.http_factory.buildProtocol(None)

    async def _turns(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)


class Local:
    """A socket whose own address is the same each time."""

    def __init__(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        self._accepted = accepted

    def getsockname(self) -> tuple[str, int]:
        return ("192.0.2.1", 80)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._accepted, name)


def received(client: socket.socket) -> bytes:
    """Return what a client has been sent until the server cut it."""
    client.settimeout(10)
    heard = b""
    try:
        while piece := client.recv(65536):
            heard += piece
    except ConnectionResetError:
        pass
    return heard


# Requests.

TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^`|~"
WRITTEN = st.sampled_from([str.lower, str.upper, str.title])
SPACE = st.sampled_from([b"", b" ", b"\t", b"  \t "])
PATH = st.lists(st.sampled_from([*"abc/.~%&=;:@!$'()*+,#[]{}|\\^`\"<>", "%2F", "%C3%A9", "%ff", "//"]), max_size=12)
QUERY = st.one_of(
    st.just([]), st.lists(st.sampled_from([*"?ab=&%+/#", "%20"]), max_size=12).map(lambda some: ["?", *some])
)
TARGETS = st.builds(lambda path, query: "".join(["/", *path, *query]).encode(), PATH, QUERY)
VALUES = st.lists(st.sampled_from(sorted({*range(0x20, 0x7F), *range(0x80, 0x100), 9} - {0x85})), max_size=20).map(
    bytes
)
SUBPROTOCOLS = st.lists(st.sampled_from(["chat", "v1", "v2.json", "graphql-ws"]), min_size=1, max_size=3, unique=True)
KEYS = st.binary(min_size=16, max_size=16).map(base64.b64encode)
OFFERS = st.sampled_from(
    [
        b"permessage-deflate; client_max_window_bits",
        b"permessage-deflate; server_no_context_takeover",
        b"permessage-deflate; server_max_window_bits=8, permessage-deflate",
        b"x-webkit-deflate-frame",
        b"permessage-deflate; what=7",
    ]
)
CHAIN = st.sampled_from([b"198.51.100.4", b"198.51.100.4, 192.0.2.9", b"[2001:db8::1]:80", b"unknown", b"", b"\xff"])
# Those that a client may send or not, beside others of any name.
MAYBE = {
    "origin": st.sampled_from([b"https://chat.example.com", b"null", b""]),
    "cookie": st.sampled_from([b"sessionid=abc; csrftoken=def", b"a=\xe9", b"="]),
    "sec-websocket-extensions": OFFERS,
    "sec-websocket-protocol": SUBPROTOCOLS.map(lambda names: ", ".join(names).encode()),
    "x-forwarded-for": CHAIN,
    "x-forwarded-proto": st.sampled_from([b"https", b"http", b"https, http", b"gopher"]),
    "authorization": VALUES,
    "user-agent": VALUES,
    "traceparent": st.just(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
}
MUST = {
    "host": st.sampled_from([b"chat.example.com", b"[::1]:8000", b"", b"a b"]),
    "upgrade": st.sampled_from([b"websocket", b"WebSocket", b"WEBSOCKET"]),
    "connection": st.sampled_from([b"Upgrade", b"keep-alive, Upgrade", b"upgrade,close", b"x , uPgrade"]),
    "sec-websocket-key": KEYS,
    "sec-websocket-version": st.sampled_from([b"13", b"8"]),
}
OTHERS = st.dictionaries(
    st.text(TOKEN, min_size=1, max_size=12).map(str.lower).filter(lambda name: name not in {*MUST, *MAYBE, "expect"}),
    VALUES,
    max_size=4,
)
Line = tuple[bytes, bytes]


@st.composite
def lines(draw: st.DrawFn) -> list[bytes]:
    """Draw the header lines of an ordinary request, in any order."""
    wanted = draw(st.sets(st.sampled_from(sorted(MAYBE)), min_size=3))
    named = {name: draw(values) for name, values in (MUST | {name: MAYBE[name] for name in wanted}).items()}
    named |= draw(OTHERS)
    order = draw(st.permutations(list(named)))
    return [draw(WRITTEN)(name).encode() + b":" + draw(SPACE) + named[name] + draw(SPACE) for name in order]


def head(first: bytes, rest: list[bytes]) -> bytes:
    """Return the head of a request."""
    return b"\r\n".join([first, *rest, b"", b""])


@st.composite
def ordinary(draw: st.DrawFn) -> bytes:
    """Draw an ordinary request."""
    return head(b"GET " + draw(TARGETS) + b" HTTP/1.1", draw(lines()))


# What makes a request odd: its first line, or one more line at any place, or a change of all of it.
FIRST_LINES = (
    *(
        b"GET / HTTP/1.0",
        b"GET / HTTP/2.0",
        b"POST / HTTP/1.1",
        b"get / HTTP/1.1",
        b"GET / http/1.1",
        b"GET  / HTTP/1.1",
    ),
    *(b"GET http://other.example.com/ HTTP/1.1", b"GET * HTTP/1.1", b"GET x HTTP/1.1", b"GET /\t HTTP/1.1", b"GET /"),
    *(b"GET /\xc3\xa9 HTTP/1.1", b"GET / HTTP/1.1 ", b"GET /\0 HTTP/1.1", b"GET / HTTP/1.1\r", b" GET / HTTP/1.1"),
    *(b"GET / HTTP/1.1\nHost: x", b"", b"\r\nGET / HTTP/1.1", b"CONNECT x:80 HTTP/1.1", b"GET /a b HTTP/1.1"),
)
MORE_LINES = (
    *(b"Content-Length: 0", b"Content-Length: 5", b"content-length: 5\r\nContent-Length: 6", b"Content-Length: +5"),
    *(
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding : chunked",
        b"Expect: 100-continue",
    ),
    *(
        b"Host: second.example.com",
        b"Upgrade: h2c",
        b"Connection: close",
        b"Sec-WebSocket-Version: 13",
        b"X: 1\r\nx: 2",
    ),
    *(b" folded", b"\tfolded", b"X: a\nY: b", b"X: a\rY: b", b"X: \0", b"X: \x0b", b"X: \x85", b"X: \x1c", b"X: \x7f"),
    *(b"X_Y: 1", b"X Y: 1", b": 1", b"X", b"X : 1", b"X\t: 1", b"\xc3\xa9: 1", b"X\0: 1", b"Daphne-Root-Path: /x"),
    *(b"x" * 257 + b": 1", b"X: " + b"x" * HEAD_BYTES, b"\r\n".join(b"X%d: 1" % number for number in range(100))),
)
CHANGES = (
    (b"\r\n", b"\n"),
    (b"\r\n\r\n", b"\n\n"),
    (b"\r\n\r\n", b"\r\n \r\n\r\n"),
    (b"\r\n\r\n", b"\r\n"),
)


@st.composite
def odd(draw: st.DrawFn) -> bytes:
    """Draw a request that is ordinary but for one thing."""
    first, rest = b"GET " + draw(TARGETS) + b" HTTP/1.1", draw(lines())
    kind = draw(st.sampled_from(["first", "more", "change", "fewer"]))
    if kind == "first":
        first = draw(st.sampled_from(FIRST_LINES))
    elif kind == "more":
        rest.insert(draw(st.integers(0, len(rest))), draw(st.sampled_from(MORE_LINES)))
    elif kind == "fewer":
        lacking = draw(st.sampled_from(sorted(MUST))).encode()
        rest = [line for line in rest if line.partition(b":")[0].lower() != lacking]
    request = head(first, rest)
    return request.replace(*draw(st.sampled_from(CHANGES))) if kind == "change" else request


PLAIN = [
    b"Host: chat.example.com",
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
]


def each_oddity() -> Iterator[bytes]:
    """Yield a plain request with each thing that makes it odd, once."""
    first = b"GET / HTTP/1.1"
    yield from (head(odd_first, PLAIN) for odd_first in FIRST_LINES)
    yield from (head(first, [*PLAIN[:place], line, *PLAIN[place:]]) for line in MORE_LINES for place in (1, len(PLAIN)))
    yield from (head(first, PLAIN).replace(*change) for change in CHANGES)


def both_ways(bench: Bench, request: bytes, more: bytes, *, is_quick: bool) -> None:
    """Check that a request means the same in one piece and in two."""
    at_once, channels = bench.outcome(request + more)
    assert channels == (0 if is_quick else 1), f"{channels} channels for {request!r}"
    in_pieces, channels = bench.outcome(request[:1], request[1:] + more)
    assert channels == 1
    assert at_once == in_pieces
    if is_quick:
        assert at_once.heard.startswith(b"HTTP/1.1 101 ")
        assert (b"early" in at_once.heard) == bool(more), "frames that came with the request are not lost"


def test(examples: int) -> None:
    """Try so many of each kind."""
    alone, behind_proxies = Bench(), Bench(trusted_proxies=("192.0.2.0/24",))
    benches = st.sampled_from([alone, behind_proxies])
    chain = [b"X-Forwarded-For: 198.51.100.4, 192.0.2.9", b"X-Forwarded-Proto: https"]
    for bench in (alone, behind_proxies):
        both_ways(bench, head(b"GET /a?b HTTP/1.1", [*PLAIN, *chain]), EARLY, is_quick=True)
    assert alone.late().startswith(b"HTTP/1.1 408 "), "a first byte begins no time of its own"
    for request in each_oddity():
        both_ways(alone, request, EARLY, is_quick=False)
    rules = settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
    )

    @rules
    @given(benches, ordinary(), st.sampled_from([b"", EARLY]))
    def ordinary_requests(bench: Bench, request: bytes, more: bytes) -> None:
        both_ways(bench, request, more, is_quick=True)

    @rules
    @given(benches, odd(), st.sampled_from([b"", EARLY, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]))
    def odd_requests(bench: Bench, request: bytes, more: bytes) -> None:
        both_ways(bench, request, more, is_quick=False)

    ordinary_requests()
    odd_requests()


if __name__ == "__main__":
    how_many = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    test(how_many)
    sys.stdout.write(f"{how_many} ordinary requests and as many odd ones mean the same in one piece and in two\n")
