"""Redis by TLS: whoever is not the one that was meant is refused, counted, and named with what can be done."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from realtime_gateway.errors import ShardUnavailable
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.layer.refusals import REMEDIES
from realtime_gateway.telemetry import recorder
from tests.support.authority import EXPIRED, TOO_EARLY, Authority, server_context
from tests.support.redis_process import RedisProcess, SentinelProcess

NAME = "redis.test"
PASSWORD = "correct-horse-battery"
SITE, ATTACKER = Authority("site"), Authority("attacker")
# What the attacker's server trusts does not matter: it lets everybody in.
OPEN = ("--tls-auth-clients", "no")


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """What a process of the site has: a certificate of the site's authority, and that authority."""
    return SITE.issue(tmp_path / "ours", "gateway.test")


@asynccontextmanager
async def layer_with(certificates: Path, port: int, **more: Any) -> AsyncIterator[RedisChannelLayer]:
    """A layer that connects to a port of this machine by TLS, and logs in there."""
    host = {
        "host": "127.0.0.1", "port": port, "username": "default", "password": PASSWORD,
        "ssl": True, "ssl_server_name": NAME, "ssl_ca_certs": str(certificates / "ca.crt"), **files(certificates),
        **more,
    }  # fmt: skip
    layer = RedisChannelLayer(
        hosts=[{name: value for name, value in host.items() if value is not None}], send_timeout=1
    )
    try:
        yield layer
    finally:
        await layer.close()


async def refused(layer: RedisChannelLayer, remedy: str, caplog: pytest.LogCaptureFixture, kind: str = "tls") -> None:
    """The sender hears which shard and what to do; the log says the same, and it is counted. No password is told."""
    before = recorder.layer_connection_failures.values[kind]
    with caplog.at_level(logging.WARNING, "realtime_gateway.layer"), pytest.raises(ShardUnavailable) as caught:
        await layer.group_send("room", {"type": "secret"})
    assert caught.value.shard == "0"
    assert "shard '0'" in str(caught.value)
    assert caught.value.remedy == remedy, str(caught.value)
    assert recorder.layer_connection_failures.values[kind] > before
    assert "shard 0 cannot be used: " in caplog.text
    assert remedy in caplog.text
    assert PASSWORD not in caplog.text + str(caught.value)


IMPOSTORS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another authority's certificate": (lambda d: ATTACKER.issue(d, NAME), "tls authority"),
    "an expired certificate": (lambda d: SITE.issue(d, NAME, valid=EXPIRED), "tls expired"),
    "a certificate of tomorrow": (lambda d: SITE.issue(d, NAME, valid=TOO_EARLY), "tls too early"),
    "a certificate for another name": (lambda d: SITE.issue(d, "other.test"), "tls name"),
    "a certificate for the address and not the name": (lambda d: SITE.issue(d, "127.0.0.1"), "tls name"),
}


@pytest.mark.parametrize("impostor", IMPOSTORS)
async def test_a_server_is_refused_that_has(
    impostor: str, ours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make, remedy = IMPOSTORS[impostor]
    with RedisProcess(*OPEN, "--requirepass", PASSWORD, tls=make(tmp_path / "theirs"), tls_client=ours) as server:
        async with layer_with(ours, server.port) as layer:
            await refused(layer, REMEDIES[remedy], caplog)


async def test_an_authority_that_the_system_trusts_cannot_vouch_for_a_server_when_ours_is_named(
    ours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = ATTACKER.issue(tmp_path / "theirs", NAME)
    monkeypatch.setenv("SSL_CERT_FILE", str(theirs / "ca.crt"))
    with RedisProcess(*OPEN, "--requirepass", PASSWORD, tls=theirs) as server:
        async with layer_with(ours, server.port) as layer:
            await refused(layer, REMEDIES["tls authority"], caplog)
        # Where no authority is named, the system's count, and this one is of them: the refusal above was for that.
        async with layer_with(ours, server.port, ssl_ca_certs=None) as layer:
            await layer.group_send("room", {"type": "hello"})


@asynccontextmanager
async def in_the_middle(certificates: Path, server: RedisProcess) -> AsyncIterator[tuple[int, bytearray]]:
    """Somebody between client and server who speaks TLS with both; gives its port and what it reads of the client."""
    heard = bytearray()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, notes: bytearray | None) -> None:
        with suppress(OSError, ssl.SSLError):
            while data := await reader.read(65536):
                if notes is not None:
                    notes += data
                writer.write(data)
                await writer.drain()
            writer.close()

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onwards = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
        onwards.check_hostname, onwards.verify_mode = False, ssl.CERT_NONE
        onwards.load_cert_chain(certificates / "tls.crt", certificates / "tls.key")
        real_reader, real_writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=onwards)
        await asyncio.gather(carry(reader, real_writer, heard), carry(real_reader, writer, None))

    listening = await asyncio.start_server(between, "127.0.0.1", 0, ssl=server_context(certificates))
    try:
        yield listening.sockets[0].getsockname()[1], heard
    finally:
        listening.close()


async def test_somebody_in_the_middle_reads_no_password_and_no_message(
    ours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = ATTACKER.issue(tmp_path / "theirs", NAME)
    with RedisProcess(*OPEN, "--requirepass", PASSWORD, tls=SITE.issue(tmp_path / "real", NAME)) as server:
        async with in_the_middle(theirs, server) as (port, heard):
            async with layer_with(ours, port) as layer:
                await refused(layer, REMEDIES["tls authority"], caplog)
            assert not heard
            # Whoever does not look at certificates gives both away.
            async with layer_with(ours, port, ssl_cert_reqs="none", ssl_check_hostname=False) as layer:
                await layer.group_send("room", {"type": "secret"})
            assert PASSWORD.encode() in heard


INTRUDERS: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "no certificate": (lambda d: {"ssl_certfile": None, "ssl_keyfile": None}, "tls none of ours"),
    "another authority's certificate": (lambda d: files(ATTACKER.issue(d, "gateway.test", trusts=SITE)), "tls ours"),
    "an expired certificate": (lambda d: files(SITE.issue(d, "gateway.test", valid=EXPIRED)), "tls ours"),
}


def files(directory: Path) -> dict[str, Any]:
    return {"ssl_certfile": str(directory / "tls.crt"), "ssl_keyfile": str(directory / "tls.key")}


@pytest.mark.parametrize("intruder", INTRUDERS)
async def test_a_client_is_refused_that_has(
    intruder: str, ours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make, remedy = INTRUDERS[intruder]
    with RedisProcess("--requirepass", PASSWORD, tls=SITE.issue(tmp_path / "server", NAME)) as server:
        async with layer_with(ours, server.port, **make(tmp_path / "client")) as layer:
            await refused(layer, REMEDIES[remedy], caplog)
        async with layer_with(ours, server.port) as layer:
            await layer.group_send("room", {"type": "hello"})


async def test_a_server_without_tls_gets_no_password(ours: Path, caplog: pytest.LogCaptureFixture) -> None:
    heard = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(65536))
        writer.write(b"-ERR Protocol error\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, layer_with(ours, server.sockets[0].getsockname()[1]) as layer:
        await refused(layer, REMEDIES["tls plain"], caplog)
    assert heard
    assert PASSWORD.encode() not in heard


async def test_a_client_without_tls_gets_nowhere(ours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RedisProcess(tls=SITE.issue(tmp_path / "server", NAME)) as server:
        layer = RedisChannelLayer(hosts=[server.address], send_timeout=1)
        await refused(layer, "", caplog, kind="unreachable")
        await layer.close()


@pytest.mark.parametrize("lying", ["the Sentinel", "the primary"])
async def test_neither_a_false_sentinel_nor_a_false_primary_is_believed(
    lying: str, ours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    false, true = ATTACKER.issue(tmp_path / "false", NAME), SITE.issue(tmp_path / "true", NAME)
    if lying == "the primary":  # which the Sentinel takes for the real one
        SITE.issue(true, NAME, trusts=ATTACKER)
    of_sentinel, of_primary = (false, true) if lying == "the Sentinel" else (true, false)
    speaks = {"ssl": True, "ssl_server_name": NAME, "ssl_ca_certs": str(ours / "ca.crt"), **files(ours)}
    # Certificates are looked at by the layer alone: servers and Sentinel let everybody in, and follow one another.
    with (
        RedisProcess(*OPEN, tls=of_primary) as primary,
        SentinelProcess({"chat": primary}, tls=of_sentinel, options=("tls-auth-clients no",)) as sentinel,
    ):
        host = {"sentinels": [sentinel.address], "master_name": "chat", "sentinel_kwargs": speaks, **speaks}
        layer = RedisChannelLayer(hosts=[host], send_timeout=2)
        await refused(layer, REMEDIES["tls authority"], caplog)
        await layer.close()


async def test_what_was_refused_is_used_once_it_has_the_right_certificate(ours: Path, tmp_path: Path) -> None:
    certificates = SITE.issue(tmp_path / "server", NAME, valid=EXPIRED)
    with RedisProcess(*OPEN, "--requirepass", PASSWORD, tls=certificates, tls_client=ours) as server:
        async with layer_with(ours, server.port) as layer:
            with pytest.raises(ShardUnavailable):
                await layer.group_send("room", {"type": "hello"})
            SITE.issue(certificates, NAME)
            with server.new_client(password=PASSWORD) as client:
                client.config_set(
                    "tls-cert-file", str(certificates / "tls.crt"), "tls-key-file", str(certificates / "tls.key")
                )
            async with asyncio.timeout(20):
                while True:
                    with suppress(ShardUnavailable):
                        await layer.group_send("room", {"type": "hello"})
                        break
