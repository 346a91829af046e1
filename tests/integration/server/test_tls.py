"""TLS by Twisted's endpoints: the same protocols over another transport."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from tests.support.free_port import free_port
from tests.support.serve_process import ServeProcess
from tests.support.tls_certificate import TlsCertificate
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

# Twisted's endpoint uses names of pyOpenSSL that its newest releases deprecate; nothing of ours is in between.
WARNINGS = {"PYTHONWARNINGS": "default"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> TlsCertificate:
    return TlsCertificate(tmp_path_factory.mktemp("tls"))


async def test_requests_and_websockets_work_over_tls_and_drain(applications, certificate: TlsCertificate):
    port = free_port()
    trust = certificate.trust()
    listen = ("-e", certificate.endpoint(port))
    with ServeProcess("conversations:application", directory=applications, environment=WARNINGS, listen=listen) as it:
        async with httpx.AsyncClient(verify=trust) as client:
            assert (await client.get(f"https://127.0.0.1:{port}/scope")).json()["scheme"] == "https"
        async with connect(f"wss://127.0.0.1:{port}/echo", ssl=trust) as websocket:
            for message in ("hello", "x" * 200_000, b"bytes"):
                await websocket.send(message)
                assert await websocket.recv() == message
            it.terminate()
            with pytest.raises(ConnectionClosed) as caught:
                await asyncio.wait_for(websocket.recv(), 10)
            assert caught.value.rcvd.code == 1012
        assert await asyncio.to_thread(it.wait) == 0
        assert "Traceback" not in it.output


async def test_the_scheme_of_a_websocket_is_wss(applications, certificate: TlsCertificate):
    port = free_port()
    listen = ("-e", certificate.endpoint(port))
    with ServeProcess("conversations:application", directory=applications, environment=WARNINGS, listen=listen):
        async with connect(f"wss://127.0.0.1:{port}/scope", ssl=certificate.trust()) as websocket:
            assert '"scheme": "wss"' in await websocket.recv()


async def test_a_fan_out_never_writes_past_the_encryption(applications, certificate: TlsCertificate):
    port = free_port()
    listen = ("-e", certificate.endpoint(port))
    with ServeProcess("outboxes:application", directory=applications, environment=WARNINGS, listen=listen):
        async with connect(f"wss://127.0.0.1:{port}/", ssl=certificate.trust()) as websocket:
            await websocket.send('["write", "say"]')
            assert await websocket.recv() == "[false, false]"
