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
