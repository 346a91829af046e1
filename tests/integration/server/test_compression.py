"""permessage-deflate with independent clients: agreed on, bounded, and never a way to more memory."""

from __future__ import annotations

import asyncio
import zlib

import pytest
from tests.integration.server.test_conformance import MESSAGES, WsprotoClient, wsproto_message
from tests.support.frames import RawClient, client_frame
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from wsproto.extensions import PerMessageDeflate

OFFER = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
COMPRESSED_TEXT, COMPRESSED_BINARY = 0xC1, 0xC2


@pytest.fixture(scope="module")
def compressing(request):
    directory = request.path.parent / "applications"
    words = ("--compression", "--compression-context-bytes", "150000", "--compression-least-bytes", "10")
    with ServeProcess("conversations:application", *words, directory=directory) as running:
        yield running


@pytest.mark.parametrize(
    "factory",
    [
        ClientPerMessageDeflateFactory(),
        ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),
        ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9),
    ],
    ids=["plain", "no takeover", "small windows"],
)
async def test_websockets_talks_compressed(compressing: ServeProcess, factory):
    async with connect(
        f"{compressing.websocket_url}/echo", extensions=[factory], compression=None, max_size=None
    ) as client:
        assert client.response.headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")
        for content in MESSAGES * 2:
            await client.send(content)
            assert await client.recv() == content
        await client.send(iter(["a" * 1000, "", "b" * 1000]))
        assert await client.recv() == "a" * 1000 + "b" * 1000


def test_wsproto_talks_compressed(compressing: ServeProcess):
    with WsprotoClient(compressing.port, "/echo", extensions=[PerMessageDeflate()]) as client:
        assert client.accepted.extensions
        for content in MESSAGES * 2:
            client.send(wsproto_message(content))
            assert client.message() == content


async def test_contexts_beyond_the_budget_are_not_kept_and_their_clients_served(compressing: ServeProcess):
    clients = [await connect(f"{compressing.websocket_url}/echo") for _ in range(6)]
    answers = [client.response.headers["Sec-WebSocket-Extensions"] for client in clients]
    kept = ["server_no_context_takeover" not in answer for answer in answers]
    assert kept == sorted(kept, reverse=True)
    assert 0 < sum(kept) < 6
    for client in clients:
        await client.send("served " * 100)
        assert await client.recv() == "served " * 100
    await asyncio.gather(*(client.close() for client in clients))


def test_a_bomb_is_closed_with_1009_and_takes_no_memory(compressing: ServeProcess):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(500_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
    before = compressing.resident_bytes()
    with RawClient(compressing.port, "/echo", OFFER) as client:
        assert b"permessage-deflate" in client.head
        client.send(client_frame(COMPRESSED_BINARY, bomb))
        assert client.close_code() == 1009
    assert compressing.resident_bytes() - before < 20_000_000
    compressing.wait_for_output("Limit websocket.maxMessageSize met by")


def test_what_cannot_be_inflated_is_1007(compressing: ServeProcess):
    with RawClient(compressing.port, "/echo", OFFER) as client:
        client.send(client_frame(COMPRESSED_TEXT, b"\xff\xff\xff\xff"))
        assert client.close_code() == 1007


@pytest.mark.parametrize(("head", "payload"), [(0xC9, b""), (0xC0, b"a"), (0xE1, b"a")])
def test_compressed_control_frames_and_continuations_are_1002(compressing: ServeProcess, head: int, payload: bytes):
    with RawClient(compressing.port, "/echo", OFFER) as client:
        client.send(client_frame(0x41, b""), client_frame(head, payload))
        assert client.close_code() == 1002


@pytest.mark.parametrize(
    "offer", [b"permessage-deflate; server_max_window_bits=8", b"permessage-deflate; a=b", b";;,="]
)
def test_an_offer_that_cannot_be_taken_up_is_passed_over(compressing: ServeProcess, offer: bytes):
    with RawClient(compressing.port, "/echo", b"Sec-WebSocket-Extensions: " + offer + b"\r\n") as client:
        assert client.head.startswith(b"HTTP/1.1 101 ")
        assert b"extensions" not in client.head.lower()
        client.send(client_frame(0x81, b"plain"))
        assert client.frame() == (0x81, b"plain")
