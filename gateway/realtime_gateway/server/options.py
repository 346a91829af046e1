"""Pure. What the server can be told beside Daphne's own constructor arguments, and where it listens."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.resource.ending_times import CLOSE_TIMEOUT_SECONDS
from realtime_gateway.resource.spec import LEAST_HEAD_BYTES, Drain, Http, Telemetry, WebSocket

_NOT_NEGATIVE = (
    *("drain_accept_seconds", "drain_period_seconds", "admin_port", "close_timeout_seconds", "max_connections"),
    *("max_connections_per_address", "handshakes_per_second", "max_age_seconds", "head_timeout_seconds"),
    *("send_queue_bytes", "send_queue_seconds", "max_body_bytes", "blocked_loop_seconds"),
    "send_timeout_seconds",
    *("compression_context_bytes", "compression_least_bytes"),
)
_PLAIN_TCP = re.compile(r"tcp:(?:port=)?(?P<port>\d+)(?::interface=(?P<host>(?:\\:|[^:])*))?$")
_PLAIN_FD = re.compile(r"fd:fileno=(?P<fd>\d+)$")
_PLAIN_UNIX = re.compile(r"unix:(?:address=)?(?P<path>[^:=]+)$")


@dataclass(frozen=True)
class TcpAddress:
    """A TCP port of one interface; port 0 is any free one."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:  # the C library would take it modulo 65,536
            raise ConfigurationError(f"There is no port {self.port}.", "A port is a number from 0 to 65535.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class UnixAddress:
    """A Unix socket's path."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True)
class InheritedSocket:
    """A socket that somebody else has bound, by its file descriptor."""

    fd: int

    def __str__(self) -> str:
        return f"fd:{self.fd}"


@dataclass(frozen=True)
class TwistedEndpoint:
    """Anything else that Twisted understands: ``ssl:…``, ``systemd:…``."""

    description: str

    def __str__(self) -> str:
        return self.description


Address = TcpAddress | UnixAddress | InheritedSocket | TwistedEndpoint


def parse_address(description: str) -> Address:
    """Read one of Daphne's endpoint descriptions; plain TCP, Unix and inherited sockets are opened by us."""
    if match := _PLAIN_TCP.match(description):
        return TcpAddress((match["host"] or "0.0.0.0").replace("\\:", ":"), int(match["port"]))
    if match := _PLAIN_FD.match(description):
        return InheritedSocket(int(match["fd"]))
    if match := _PLAIN_UNIX.match(description):
        return UnixAddress(match["path"])
    return TwistedEndpoint(description)


@dataclass(frozen=True)
class ServerOptions:
    """Settings of this server that Daphne does not have.

    Attributes:
        reuse_port: set SO_REUSEPORT, so that several processes share one TCP port.
        listen_backlog: connections that the kernel keeps waiting to be accepted, per socket.
        admin_port: port of ``/healthz``, ``/readyz`` and ``/metrics``; 0 is off.
        admin_bind: the interface of the admin port.
        drain_accept_seconds: how long new connections are still accepted after the signal, while ``/readyz``
            already says no, so that a load balancer has time to notice; 0 is none.
        drain_period_seconds: how long the closing of WebSockets is spread over, and how long HTTP requests in
            flight may take; what is left then is cut. 0 closes everything at once.
        drain_jitter: the share of the gap between two closes by which each may move, 0 to 1.
        drain_slowest_per_second: WebSockets are closed at least this fast, so that few do not take the whole period.
        close_timeout_seconds: how long a client may take to answer a close frame.
        inbox_high_bytes: reading from a client stops while this much waits for its consumer, and
        inbox_low_bytes: goes on when the consumer has taken all but this much.
        max_connections: WebSockets in this process; more are refused with 503; 0 has no limit.
        max_connections_per_address: those of one client address; more are refused with 429; 0 has no limit.
        handshakes_per_second: more are refused with 503; 0 has no limit.
        max_age_seconds: a WebSocket is closed with 1012 between three quarters of this age and this age; 0 never.
        send_queue_bytes: while more than this waits for a client, and
        send_queue_seconds: it has not caught up for this long, or takes nothing of what waits, it is closed with 1013.
        send_timeout_seconds: a client that takes nothing of an HTTP response for this long is cut; 0 waits for ever.
        head_timeout_seconds: a request's head must be whole by then, or is answered with 408; 0 waits for ever.
        max_head_bytes: a request line and its headers; more are answered with 431.
        max_body_bytes: of a request; more are answered with 413; 0 has no limit.
        compression: whether permessage-deflate is agreed on with clients that offer it.
        compression_window_bits: the largest window of either side, 9 to 15.
        compression_context_bytes: what contexts that are kept between messages may take of this process; 0 keeps none.
        compression_least_bytes: shorter messages are sent as they are.
        trusted_proxies: networks whose X-Forwarded-For, X-Forwarded-Proto and PROXY protocol are believed.
        blocked_loop_seconds: an event loop that stands still for longer is reported with its stack; 0 never.
    """

    reuse_port: bool = False
    listen_backlog: int = 1024
    admin_port: int = 0
    admin_bind: str = "127.0.0.1"
    drain_accept_seconds: float = 0
    drain_period_seconds: float = Drain().period_seconds
    drain_jitter: float = Drain().jitter
    drain_slowest_per_second: float = 20
    close_timeout_seconds: float = CLOSE_TIMEOUT_SECONDS
    inbox_high_bytes: int = 256 * 1024
    inbox_low_bytes: int = 64 * 1024
    max_connections: int = 0
    max_connections_per_address: int = 0
    handshakes_per_second: int = 0
    max_age_seconds: float = 0
    send_queue_bytes: int = WebSocket().send_queue_size_bytes
    send_queue_seconds: float = WebSocket().send_queue_seconds
    head_timeout_seconds: float = Http().head_timeout_seconds
    send_timeout_seconds: float = Http().send_timeout_seconds
    max_head_bytes: int = Http().max_head_size_bytes
    max_body_bytes: int = 0
    compression: bool = WebSocket().compression
    compression_window_bits: int = WebSocket().compression_window_bits
    compression_context_bytes: int = WebSocket().compression_context_size_bytes
    compression_least_bytes: int = WebSocket().compression_min_size_bytes
    trusted_proxies: tuple[str, ...] = ()
    blocked_loop_seconds: float = Telemetry().blocked_loop_seconds

    def __post_init__(self) -> None:
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}.", "It cannot be negative.")
        if not 9 <= self.compression_window_bits <= 15:
            raise ConfigurationError(
                f"compression_window_bits is {self.compression_window_bits}.", "A window has 9 to 15 bits."
            )
        if self.max_head_bytes < LEAST_HEAD_BYTES:
            raise ConfigurationError(
                f"max_head_bytes is {self.max_head_bytes}.", f"The head of a request may need {LEAST_HEAD_BYTES} bytes."
            )
        if not 0 <= self.drain_jitter <= 1:
            raise ConfigurationError(f"drain_jitter is {self.drain_jitter}.", "It is a share, from 0 to 1.")
        if not 0 <= self.inbox_low_bytes < self.inbox_high_bytes:
            raise ConfigurationError("inbox_low_bytes must be below inbox_high_bytes, and neither negative.")

    def with_overrides(self, **given: object) -> ServerOptions:
        """Return a copy in which every given value that is not None replaces ours."""
        # Values come from a parser that has typed them; dataclasses.replace checks the names.
        chosen = {name: value for name, value in given.items() if value is not None}
        return replace(self, **chosen)  # type: ignore[arg-type]  # names are known at run time only
