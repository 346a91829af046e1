"""Sends one message through a gateway's public port, with a trace of its own that is recorded in any case."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from realtime_gateway.errors import ConfigurationError, StartError

OPEN_SECONDS = 10.0
SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass(frozen=True)
class Probe:
    """What to send.

    Attributes:
        url: of the WebSocket, with ``ws`` or ``wss``.
        text: of the message.
        trace_id: 32 hexadecimal digits.
        headers: of the handshake, beside the trace's; a name may stand more than once.
        origin: what a browser's page would say; None says nothing.
        subprotocols: that are offered, the favourite first.
        certificates: the file of the authorities that are trusted; None trusts those of the system.
    """

    url: str
    text: str
    trace_id: str
    headers: tuple[tuple[str, str], ...]
    origin: str | None
    subprotocols: tuple[str, ...] = ()
    certificates: str | None = None

    @property
    def traceparent(self) -> str:
        """The header, sampled; its parent is nobody that tells spans."""
        return f"00-{self.trace_id}-{secrets.token_hex(8)}-01"


def websocket_url(url: str) -> str:
    """Return the URL of a WebSocket, which may be written as that of its page.

    Raises:
        ConfigurationError: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        scheme, host, _ = SCHEMES.get(parts.scheme), parts.hostname, parts.port
    except ValueError:
        scheme = host = None
    if scheme is None or not host:
        raise ConfigurationError(f"{url!r} is no URL of a WebSocket.", "Give it as ws://127.0.0.1:8000/ws/chat/lobby/.")
    return urlunsplit((scheme, parts.netloc, parts.path or "/", parts.query, ""))


def origin_of(url: str) -> str:
    """Return the origin of a page that lies where the WebSocket does."""
    parts = urlsplit(url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc.rpartition('@')[2]}"


@asynccontextmanager
async def sent(message: Probe) -> AsyncIterator[Callable[[], int | None]]:
    """Connect and send it, and stay connected in the block: who has left gets nothing.

    Yields what tells the code with which the gateway has closed the connection; None while it is open.

    Raises:
        ConfigurationError: the gateway does not take the handshake.
        StartError: there is no gateway, or it ends the connection.
    """
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
    from websockets.typing import Origin, Subprotocol

    headers = [*message.headers, ("traceparent", message.traceparent)]
    where = urlsplit(message.url).netloc.rpartition("@")[2]
    try:
        async with connect(
            message.url,
            additional_headers=headers,
            origin=None if message.origin is None else Origin(message.origin),
            subprotocols=[Subprotocol(one) for one in message.subprotocols] or None,
            ssl=_tls(message),
            open_timeout=OPEN_SECONDS,
            proxy=None,
        ) as socket:
            await socket.send(message.text)
            reading = asyncio.create_task(_read_all(socket))
            try:
                yield lambda: socket.close_code
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
    except InvalidStatus as refused:
        raise _refused(refused.response.status_code, message) from refused
    except (ConnectionClosed, InvalidHandshake) as error:
        raise StartError(f"{where} does not speak WebSocket as it should: {error}.") from error
    except TimeoutError as error:
        raise StartError(f"{where} has not answered the handshake within {OPEN_SECONDS:g} s.") from error
    except ssl.SSLCertVerificationError as error:
        raise StartError(
            f"The certificate of {where} is not trusted here: {error.verify_message}.",
            "Name the file of its authority with --cafile.",
        ) from error
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        if isinstance(error, ssl.SSLError) or (message.url.startswith("wss:") and isinstance(error, ConnectionError)):
            raise StartError(f"No TLS with {where}: {reason}.", "Has that port TLS? Without, it is ws://.") from error
        raise StartError(f"Nobody answers at {where}: {reason}.", "Is the gateway running there?") from error


def _tls(message: Probe) -> ssl.SSLContext | None:
    if not message.url.startswith("wss:"):
        return None
    try:
        return ssl.create_default_context(cafile=message.certificates)
    except OSError as error:
        raise ConfigurationError(
            f"{message.certificates} holds no certificates that can be read: {error.strerror or error}.",
            "Give a file in PEM form.",
        ) from error


async def _read_all(socket: AsyncIterable[object]) -> None:
    async for _ in socket:
        pass


def _refused(status: int, message: Probe) -> ConfigurationError:
    path = urlsplit(message.url).path
    remedies = {
        401: "Give a credential with --header, such as 'Cookie: sessionid=…' or 'Authorization: Bearer …'.",
        403: "The path may have no consumer, the origin may not be allowed (--origin), or a login may be needed "
        "(--header 'Cookie: sessionid=…').",
        404: "There is no route; give the path of a consumer.",
        500: "The application has failed; its log says why. A path without a consumer does this as well.",
    }
    return ConfigurationError(f"The gateway answers {status} to a WebSocket to {path}.", remedies.get(status, ""))
