"""Connections are accepted and heard at once, and whatever Twisted's own port would do about trouble is done."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.protocol import Factory, Protocol

from realtime_gateway.server import prompt_port
from realtime_gateway.server.prompt_port import PromptPort
from realtime_gateway.server.prompt_transport import PromptTransport


class Noting(Protocol):
    """Notes what it is told of its connection."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def connectionMade(self) -> None:
        self.seen.append("made")

    def dataReceived(self, data: bytes) -> None:
        assert isinstance(self.transport, PromptTransport)
        assert self.transport.protocol is self
        self.seen.append(data)
        if data == b"fail":
            raise ValueError("cannot take this")

    def connectionLost(self, reason: Any = None) -> None:
        self.seen.append(type(reason.value).__name__)


class NotingFactory(Factory[Noting]):
    """Makes them."""

    def __init__(self) -> None:
        self.seen: list[list[Any]] = []

    def buildProtocol(self, addr: Any) -> Noting:
        self.seen.append([])
        return Noting(self.seen[-1])


class Listening:
    """A port on the running loop."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.reactor = AsyncioSelectorReactor(asyncio.get_running_loop())
        self.factory = NotingFactory()
        with socket.create_server((host, 0), family=family, backlog=200) as listener:
            listener.setblocking(False)
            self.port = self.reactor.adoptStreamPort(listener.fileno(), family, self.factory)
            self.address = listener.getsockname()[:2]
        self.port.transport = PromptTransport
        self.prompt = PromptPort(self.port, asyncio.get_running_loop())
        self.peers: list[socket.socket] = []

    def connect(self, said: bytes = b"") -> socket.socket:
        peer = socket.create_connection(self.address)
        self.peers.append(peer)
        if said:
            peer.sendall(said)
        return peer

    @property
    def seen(self) -> list[list[Any]]:
        return self.factory.seen

    async def until_seen(self, count: int) -> None:
        async with asyncio.timeout(10):
            while sum(map(len, self.seen)) < count:
                await asyncio.sleep(0)

    def close(self) -> None:
        self.port.stopReading()
        self.port.socket.close()
        for transport in self.reactor.removeAll():
            transport.socket.close()
        for peer in self.peers:
            peer.close()


@pytest.fixture
async def listening() -> Any:
    made = Listening()
    yield made
    made.close()


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is logged as an error of accepting."""
    logged: list[Any] = []
    monkeypatch.setattr(prompt_port.log, "err", lambda: logged.append("error"))
    return logged


async def test_what_a_client_has_said_is_heard_as_it_is_accepted(listening: Listening) -> None:
    listening.connect(b"hello")
    listening.prompt.accept()
    assert listening.seen == [[b"hello"]]


async def test_a_client_that_has_said_nothing_yet_is_heard_later(listening: Listening) -> None:
    peer = listening.connect()
    await listening.until_seen(1)
    assert listening.seen == [["made"]]
    peer.sendall(b"hello")
    await listening.until_seen(2)
    assert listening.seen == [["made", b"hello"]]


async def test_more_than_are_accepted_at_once_are_all_accepted(listening: Listening) -> None:
    count = 3 * prompt_port._AT_ONCE + 1
    for number in range(count):
        listening.connect(b"%d" % number)
    listening.prompt.accept()
    assert len(listening.seen) == prompt_port._AT_ONCE, "others have their turn"
    await listening.until_seen(count)
    assert listening.seen == [[b"%d" % number] for number in range(count)]
    transports = [reader for reader in listening.reactor.getReaders() if isinstance(reader, PromptTransport)]
    assert len({transport.sessionno for transport in transports}) == count


async def test_a_client_that_has_left_again_is_lost_as_ever(listening: Listening) -> None:
    listening.connect().close()
    await listening.until_seen(2)
    assert listening.seen == [["made", "ConnectionDone"]]


async def test_a_protocol_that_fails_at_the_first_words_loses_its_connection_alone(listening: Listening) -> None:
    listening.connect(b"fail")
    listening.connect(b"hello")
    listening.prompt.accept()
    assert listening.seen == [[b"fail", "ValueError"], [b"hello"]]


async def test_an_error_of_accepting_is_met_by_twisted_too(listening: Listening, errors: list[Any]) -> None:
    class Refusing:
        def __init__(self, real: socket.socket) -> None:
            self.real, self.asked = real, 0

        def _accept(self) -> Any:
            self.asked += 1
            raise OSError(errno.ENFILE, "too many")

        def accept(self) -> Any:
            return self.real.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    real = listening.port.socket
    listening.port.socket = refusing = Refusing(real)
    listening.connect(b"hello")
    await listening.until_seen(2)
    assert refusing.asked
    assert listening.seen == [["made", b"hello"]], "by Twisted's own way"
    assert not errors
    listening.port.socket = real


async def test_a_client_for_whom_nothing_can_be_made_keeps_nobody_else_out(
    listening: Listening, errors: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    build, asked = listening.factory.buildProtocol, []

    def fail_once(addr: Any) -> Noting:
        asked.append(addr)
        if len(asked) == 1:
            raise MemoryError
        return build(addr)

    monkeypatch.setattr(listening.factory, "buildProtocol", fail_once)
    listening.connect(b"first")
    listening.connect(b"hello")
    for _ in range(2):
        listening.port.doRead()  # as a drain does with whoever waits
    assert errors == ["error"]
    assert listening.seen == [[b"hello"]]


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6 here")
async def test_an_ipv6_client_is_named_as_twisted_names_it() -> None:
    try:
        listening = Listening("::1")
    except OSError:
        pytest.skip("there is no IPv6 loopback here")
    listening.connect(b"hello")
    listening.prompt.accept()
    [transport] = [one for one in listening.reactor.getReaders() if isinstance(one, PromptTransport)]
    assert transport.getPeer().host == "::1"
    assert transport.hostname == "::1"
    listening.close()


async def test_a_port_that_stops_accepts_nobody(listening: Listening) -> None:
    listening.port.stopReading()
    listening.connect(b"hello")
    for _ in range(20):
        await asyncio.sleep(0)
    assert not listening.seen
