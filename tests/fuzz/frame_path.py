"""The frame path under hostile input, in a process of its own: python -m tests.fuzz.frame_path [examples].

Whatever bytes a client sends, in whichever pieces they arrive: the same messages reach the application, the client
hears the same pongs and the same close code, and nothing raises. And what a client in order sends, in whichever frames
and pieces, is what its application gets. The protocol is the server's own, with its compression and its backpressure;
only the socket is not there.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import struct
import sys
import zlib
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime_gateway.server.gateway_server import GatewayServer
from realtime_gateway.server.handshake import Upgrade
from realtime_gateway.server.options import ServerOptions
from realtime_gateway.server.request_facts import RequestFacts

LIMIT_BYTES = 3000
FACTS = RequestFacts(b"/", b"", [(b"host", b"x")], "", "http", ["192.0.2.1", 1], ["192.0.2.2", 2])
Outcome = tuple[list[Any], list[bytes], int | None]


class Transport:
    """Takes everything at once."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def loseConnection(self) -> None:
        self.closed = True

    abortConnection = loseConnection

    def __getattr__(self, name: str) -> Any:
        if name in ("registerProducer", "unregisterProducer", "pauseProducing", "resumeProducing"):
            return lambda *arguments: None
        raise AttributeError(name)


class Bench:
    """A server that does not listen, and its application, which keeps what it is sent."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.failures: list[dict[str, Any]] = []
        options = ServerOptions(compression=True, inbox_high_bytes=4000, inbox_low_bytes=1000, blocked_loop_seconds=0)
        self.server = GatewayServer(
            self.application,
            endpoints=["tcp:0"],
            options=options,
            websocket_max_message_size=LIMIT_BYTES,
            websocket_max_frame_size=LIMIT_BYTES,
            ping_interval=0,
        )
        self.loop = self.server.loop
        self.loop.set_exception_handler(lambda loop, context: self.failures.append(context))

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.messages.append(message.get("text", message.get("bytes")))

    def outcome(self, pieces: list[bytes], extensions: tuple[bytes, ...]) -> Outcome:
        return self.loop.run_until_complete(self._outcome(pieces, extensions))

    async def _outcome(self, pieces: list[bytes], extensions: tuple[bytes, ...]) -> Outcome:
        self.messages = []
        protocol, transport = self.server.ws_factory.buildProtocol(None), Transport()
        protocol.makeConnection(transport)
        protocol.begin(FACTS, Upgrade("dGhlIHNhbXBsZSBub25jZQ==", 13, (), extensions))
        while not transport.written:
            await asyncio.sleep(0)
        for piece in pieces:
            if transport.closed:
                break
            protocol.dataReceived(piece)
            for _ in range(3):
                await asyncio.sleep(0)
        while protocol.reading_paused and not protocol.failedByMe:  # the application has not taken everything yet
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        protocol.connectionLost(None)
        await asyncio.wait([protocol.run.task])
        assert protocol.run.task.exception() is None, protocol.run.task.exception()
        assert not self.failures, self.failures
        return self.messages, *said(bytes(transport.written).partition(b"\r\n\r\n")[2])


def said(frames: bytes) -> tuple[list[bytes], int | None]:
    """Return the pongs and the close code that the server has sent."""
    pongs, code = [], None
    while frames:
        size = frames[1]
        assert size < 126, "the application sends nothing"
        payload, opcode, frames = frames[2 : 2 + size], frames[0] & 15, frames[2 + size :]
        assert code is None, "nothing may follow a close frame"
        if opcode == 10:
            pongs.append(payload)
        else:
            assert opcode == 8, opcode
            code = struct.unpack("!H", payload[:2])[0] if payload else 1005
    return pongs, code


def frame(head: int, payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    length = bytes([128 | size]) if size < 126 else struct.pack("!BH", 254, size)
    key = (mask * (size // 4 + 1))[:size]
    return bytes([head]) + length + mask + bytes(a ^ b for a, b in zip(payload, key, strict=True))


payloads = st.one_of(
    st.text(max_size=60).map(str.encode),
    st.binary(max_size=140),
    st.integers(0, LIMIT_BYTES + 10).map(lambda size: b"x" * size),
)
heads = st.one_of(st.sampled_from([0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0xC1, 0x41]), st.integers(0, 255))
frames = st.builds(frame, heads, payloads, st.binary(min_size=4, max_size=4))
ordinary = st.builds(frame, st.sampled_from([0x81, 0x82, 0x89]), payloads, st.binary(min_size=4, max_size=4))
streams = st.lists(st.one_of(ordinary, ordinary, frames, st.binary(max_size=20)), max_size=12).map(b"".join)
cuts = st.lists(st.integers(0, 2000), max_size=12)
offered = st.sampled_from([(), (b"permessage-deflate",), (b"permessage-deflate; client_no_context_takeover",)])


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(min(place, len(stream)) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(bounds) if end > start]


@dataclass(frozen=True)
class Sent:
    """One message of a client in order: in so many frames, with pings between them."""

    content: str | bytes
    fragments: tuple[int, ...]
    mask: bytes
    compressed: bool
    pings: tuple[bytes, ...]

    def frames(self, may_compress: bool) -> bytes:
        opcode = 1 if isinstance(self.content, str) else 2
        payload = self.content.encode() if isinstance(self.content, str) else self.content
        if self.compressed and may_compress:
            deflate = zlib.compressobj(wbits=-12)
            payload = (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]  # RFC 7692 section 7.2.1
            opcode |= 0x40
        bounds = [0, *sorted(min(place, len(payload)) for place in self.fragments), len(payload)]
        pieces = [payload[start:end] for start, end in itertools.pairwise(bounds)]
        made = [frame(0, piece, self.mask) for piece in pieces]
        made[0] = bytes([opcode]) + made[0][1:]
        made[-1] = bytes([made[-1][0] | 0x80]) + made[-1][1:]
        for number, ping in enumerate(self.pings):
            made.insert(2 * number, frame(0x89, ping, self.mask))
        return b"".join(made)


sent = st.builds(
    Sent,
    st.one_of(st.text(max_size=300), st.binary(max_size=LIMIT_BYTES)),
    st.lists(st.integers(0, LIMIT_BYTES), max_size=6).map(tuple),
    st.binary(min_size=4, max_size=4),
    st.booleans(),
    st.lists(st.binary(max_size=125), max_size=3).map(tuple),
)
closes = st.one_of(st.none(), st.integers(3000, 4999))


def main(examples: int) -> None:
    """Try this many streams of each kind."""
    logging.disable(logging.CRITICAL)
    bench = Bench()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(messages=st.lists(sent, max_size=8), places=cuts, extensions=offered, code=closes)
    def what_was_sent(messages: list[Sent], places: list[int], extensions: tuple[bytes, ...], code: int | None) -> None:
        stream = b"".join(message.frames(bool(extensions)) for message in messages)
        if code is not None:
            stream += frame(0x88, struct.pack("!H", code), b"mask")
        pings = [ping for message in messages for ping in message.pings]
        contents = [message.content for message in messages]
        assert bench.outcome(cut(stream, places), extensions) == (contents, pings, code)

    what_was_sent()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(stream=streams, places=cuts, extensions=offered, every_byte=st.booleans())
    def same_result(stream: bytes, places: list[int], extensions: tuple[bytes, ...], every_byte: bool) -> None:
        pieces = [stream[at : at + 1] for at in range(len(stream))][:800] if every_byte else cut(stream, places)
        whole = [b"".join(pieces)] if pieces else []
        assert bench.outcome(pieces, extensions) == bench.outcome(whole, extensions)

    same_result()
    sys.stdout.write(f"{examples} streams\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
