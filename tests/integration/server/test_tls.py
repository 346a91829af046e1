"""TLS by Twisted's endpoints: the same protocols over another transport."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.free_port import free_port
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

# Twisted's endpoint uses names of pyOpenSSL that its newest releases deprecate; nothing of ours is in between.
WARNINGS = {"PYTHONWARNINGS": "default"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    """A key and a certificate for 127.0.0.1 that signs itself, in one directory."""
    directory: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "tls.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory


async def test_requests_and_websockets_work_over_tls_and_drain(applications, certificate: Path):
    port = free_port()
    endpoint = f"ssl:{port}:privateKey={certificate}/tls.key:certKey={certificate}/tls.crt:interface=127.0.0.1"
    trust = ssl.create_default_context(cafile=str(certificate / "tls.crt"))
    with ServeProcess(
        "conversations:application", directory=applications, environment=WARNINGS, listen=("-e", endpoint)
    ) as it:
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


async def test_the_scheme_of_a_websocket_is_wss(applications, certificate: Path):
    port = free_port()
    endpoint = f"ssl:{port}:privateKey={certificate}/tls.key:certKey={certificate}/tls.crt:interface=127.0.0.1"
    trust = ssl.create_default_context(cafile=str(certificate / "tls.crt"))
    with ServeProcess(
        "conversations:application", directory=applications, environment=WARNINGS, listen=("-e", endpoint)
    ):
        async with connect(f"wss://127.0.0.1:{port}/scope", ssl=trust) as websocket:
            assert '"scheme": "wss"' in await websocket.recv()


async def test_a_fan_out_never_writes_past_the_encryption(applications, certificate: Path):
    port = free_port()
    endpoint = f"ssl:{port}:privateKey={certificate}/tls.key:certKey={certificate}/tls.crt:interface=127.0.0.1"
    trust = ssl.create_default_context(cafile=str(certificate / "tls.crt"))
    with ServeProcess("outboxes:application", directory=applications, environment=WARNINGS, listen=("-e", endpoint)):
        async with connect(f"wss://127.0.0.1:{port}/", ssl=trust) as websocket:
            await websocket.send('["write", "say"]')
            assert await websocket.recv() == "[false, false]"
