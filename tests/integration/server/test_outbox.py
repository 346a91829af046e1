"""What a fan-out writes past the application's send: in order, only while nothing waits, and never into TLS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

SECONDS = 20
TEXT = "☕" * 10


@pytest.fixture(scope="module")
def outboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServeProcess, Path]]:
    path = tmp_path_factory.mktemp("outboxes") / "socket"
    directory = Path(__file__).parent / "applications"
    with ServeProcess("outboxes:application", "-u", str(path), directory=directory) as running:
        yield running, path


@pytest.fixture(params=["tcp", "unix"])
def connecting(request: pytest.FixtureRequest, outboxes: tuple[ServeProcess, Path]) -> connect:
    server, path = outboxes
    if request.param == "tcp":
        return connect(server.websocket_url, proxy=None, max_size=None)
    return unix_connect(str(path), "ws://localhost/", max_size=None)


async def heard(client: ClientConnection) -> str | bytes:
    async with asyncio.timeout(SECONDS):
        return await client.recv()


async def test_frames_are_written_at_once_and_in_order(connecting: connect) -> None:
    async with connecting as client:
        await client.send(json.dumps(["write", "write two", "write", "say"]))
        assert [await heard(client) for _ in range(5)] == [TEXT, b"one", "two", TEXT, "[false, true, true, true]"]


async def test_nothing_is_written_before_what_the_application_has_sent(connecting: connect) -> None:
    async with connecting as client:
        await client.send(json.dumps(["send", "write", "say"]))
        assert [await heard(client) for _ in range(2)] == ["sent", "[false, false]"]


async def test_nothing_is_written_after_the_close_frame(
    connecting: connect, outboxes: tuple[ServeProcess, Path]
) -> None:
    async with connecting as client:
        await client.send(json.dumps(["close", "write"]))
        async with asyncio.timeout(SECONDS):
            with pytest.raises(ConnectionClosed):
                await client.recv()
        assert client.close_code == 4000
    server, _ = outboxes
    server.wait_until(lambda: "after the end: False" in server.output, "has said what came of it", SECONDS)
    assert "after the end: True" not in server.output


async def test_a_client_that_does_not_read_is_written_to_until_its_socket_is_full_and_gets_it_all_in_the_end(
    connecting: connect,
) -> None:
    async with connecting as client:
        await client.send(json.dumps(["fill", "say"]))
        frames = [await heard(client)]
        while isinstance(frames[-1], bytes):
            frames.append(await heard(client))
        count = json.loads(frames[-1])[1]
        assert count >= 1
        assert frames[:-1] == [b"x" * 1024] * count
        await client.send(json.dumps(["write"]))
        assert await heard(client) == TEXT


@pytest.mark.parametrize("takeover", [True, False], ids=["with a context", "without"])
async def test_a_client_that_takes_compressed_messages_reads_what_is_written(takeover: bool) -> None:
    words = ("--compression", "--compression-context-bytes", "150000", "--compression-least-bytes", "10")
    directory = Path(__file__).parent / "applications"
    offer = ClientPerMessageDeflateFactory(server_no_context_takeover=not takeover)
    with ServeProcess("outboxes:application", *words, directory=directory) as server:
        async with connect(server.websocket_url, extensions=[offer], compression=None, proxy=None) as client:
            assert ("server_no_context_takeover" in client.response.headers["Sec-WebSocket-Extensions"]) != takeover
            await client.send(json.dumps(["write", "say"]))
            assert [await heard(client) for _ in range(2)] == [TEXT, "[false, true]"]
            await client.send(json.dumps(["write two", "write", "say"]))
            assert [await heard(client) for _ in range(4)] == [b"one", "two", TEXT, "[false, true, true, true]"]
            await client.send(json.dumps(["encoding"]))
            assert (await heard(client) == "as they are") == takeover
