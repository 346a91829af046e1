"""A transport that knows by itself whether it reads: the reactor would have to make a list of all connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.protocol import Protocol
from twisted.logger import globalLogPublisher

from realtime_gateway.server.prompt_transport import PromptTransport

WHOLE_BUFFERS = 4


@pytest.fixture
def captured_log() -> Iterator[list[dict[str, Any]]]:
    """What goes into Twisted's log."""
    events: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


class Pausing(Protocol):
    """Stops reading at the first piece, and notes what comes."""

    def __init__(self) -> None:
        self.pieces: list[int] = []

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(len(data))
        if len(self.pieces) == 1:
            assert self.transport is not None
            self.transport.pauseProducing()  # type: ignore[attr-defined]


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_whole_buffers_are_read_on_from_without_a_list_of_all_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked() -> None:
        raise AssertionError("the reactor made a list of its readers")

    reactor = AsyncioSelectorReactor(asyncio.get_running_loop())
    monkeypatch.setattr(reactor, "getReaders", asked)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as peer:
        accepted, address = listener.accept()
        accepted.setblocking(False)
        peer.setblocking(False)
        protocol = Pausing()
        transport = PromptTransport(accepted, protocol, address, None, 1, reactor)
        protocol.makeConnection(transport)
        size = peer.send(b"x" * transport.bufferSize * WHOLE_BUFFERS)
        async with asyncio.timeout(10):
            while not protocol.pieces:
                await asyncio.sleep(0)
            await turns(20)
            assert protocol.pieces == [transport.bufferSize], "it was paused"
            transport.resumeProducing()
            while sum(protocol.pieces) < size:
                await asyncio.sleep(0)
            transport.abortConnection()
            await turns(5)
    assert not transport.connected


class Failing(Protocol):
    """Takes nothing."""

    def dataReceived(self, data: bytes) -> None:
        raise ValueError("cannot take this")

    def connectionLost(self, reason: Any = None) -> None:
        self.lost_by = type(reason.value)


async def test_a_connection_whose_protocol_fails_is_logged_and_ends(captured_log: list[dict[str, Any]]) -> None:
    reactor = AsyncioSelectorReactor(asyncio.get_running_loop())
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as peer:
        accepted, address = listener.accept()
        protocol = Failing()
        transport = PromptTransport(accepted, protocol, address, None, 1, reactor)
        protocol.makeConnection(transport)
        assert repr(transport) == "<Failing #1 of 127.0.0.1>"
        assert transport.logPrefix() == "Failing,1,127.0.0.1"
        peer.sendall(b"x")
        async with asyncio.timeout(10):
            while transport.connected:
                await asyncio.sleep(0)
    assert protocol.lost_by is ValueError
    assert [event["log_failure"].type for event in captured_log] == [ValueError]


class Counting(Protocol):
    """Notes its end."""

    ended = 0

    def connectionLost(self, reason: Any = None) -> None:
        self.ended += 1
        self.lost_by = type(reason.value).__name__


class Connected:
    """A transport with its client's socket, which takes little until it is read."""

    def __init__(self) -> None:
        self.reactor = AsyncioSelectorReactor(asyncio.get_running_loop())
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.peer = socket.create_connection(listener.getsockname())
            accepted, address = listener.accept()
        self.protocol = Counting()
        self.transport = PromptTransport(accepted, self.protocol, address, None, 1, self.reactor)
        self.protocol.makeConnection(self.transport)

    async def until_lost(self) -> None:
        async with asyncio.timeout(10):
            while not self.protocol.ended:
                await asyncio.sleep(0)

    async def read(self) -> bytes:
        """All that comes until the end."""
        self.peer.setblocking(False)
        read = b""
        async with asyncio.timeout(10):
            while piece := await asyncio.get_running_loop().sock_recv(self.peer, 1 << 20):
                read += piece
        self.peer.close()
        return read


async def test_a_connection_is_closed_in_the_next_step_when_all_is_written() -> None:
    connected = Connected()
    connected.transport.write(b"last words")
    connected.transport.loseConnection()
    assert connected.transport.disconnecting
    assert not connected.protocol.ended, "not amid what its protocol does"
    assert not connected.reactor.getWriters(), "nothing has to be waited for"
    await turns(2)
    assert (connected.protocol.ended, connected.protocol.lost_by) == (1, "ConnectionDone")
    assert await connected.read() == b"last words"


async def test_a_connection_is_closed_behind_what_still_has_to_be_written() -> None:
    connected = Connected()
    data = b"x" * 20_000_000
    connected.transport.write(data)
    connected.transport.loseConnection()
    await turns(5)
    assert not connected.protocol.ended
    assert await connected.read() == data
    await connected.until_lost()
    assert connected.protocol.lost_by == "ConnectionDone"


async def test_what_is_written_between_the_call_and_the_end_is_sent() -> None:
    connected = Connected()
    connected.transport.loseConnection()
    connected.transport.write(b"late")
    await connected.until_lost()
    assert await connected.read() == b"late"
    assert connected.protocol.ended == 1


async def test_a_connection_that_is_aborted_meanwhile_ends_once() -> None:
    connected = Connected()
    connected.transport.loseConnection()
    connected.transport.abortConnection()
    await connected.until_lost()
    await turns(5)
    assert (connected.protocol.ended, connected.protocol.lost_by) == (1, "ConnectionAborted")
    connected.peer.close()


class Producer:
    """Has more to say when it is asked."""

    def __init__(self, transport: PromptTransport) -> None:
        self.transport = transport
        self.asked = 0

    def resumeProducing(self) -> None:
        self.asked += 1
        self.transport.write(b"more")
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """Nothing: it is never asked."""

    def stopProducing(self) -> None:
        """Nothing."""


async def test_a_producer_that_waits_to_be_asked_is_asked_before_the_end() -> None:
    connected = Connected()
    producer = Producer(connected.transport)
    connected.transport.registerProducer(producer, True)
    connected.transport.producerPaused = True
    connected.transport.loseConnection()
    await connected.until_lost()
    assert producer.asked == 1
    assert await connected.read() == b"more"
