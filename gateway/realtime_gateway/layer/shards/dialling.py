"""From one entry of ``hosts`` to a socket that has logged in: URIs, tuples, Sentinels, unix sockets, TLS.

redis-py connects, authenticates and selects the database; after that its part is over (`wire` takes the transport).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio.client import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from realtime_gateway.layer.refusals import with_code
from realtime_gateway.layer.shards.encrypted import chosen_class
from realtime_gateway.layer.shards.wire import Wire

# Of redis-py's pools and clients, without meaning for a connection of ours; accepted, since settings have them.
IGNORED = (
    "max_connections", "timeout", "decode_responses", "health_check_interval", "retry", "retry_on_timeout",
    "retry_on_error", "protocol", "parser_class", "encoder_class", "single_connection_client", "connection_pool",
    "check_connection", "is_master", "maint_notifications_config", "auto_close_connection_pool", "legacy_responses",
)  # fmt: skip


class DialFailed(Exception):
    """The server could not be reached, or did not let us in.

    Attributes:
        refused: the server answered, with this error (NOAUTH, WRONGPASS, …); "" when it did not answer.
    """

    def __init__(self, message: str, refused: str = "") -> None:
        super().__init__(message)
        self.refused = refused


@dataclass(frozen=True)
class Target:
    """How to build one connection: a class of redis-py's and its arguments, which may hold a password."""

    connection_class: type[AbstractConnection]
    arguments: Mapping[str, Any]

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None for a unix socket."""
        host = self.arguments.get("host")
        return (str(host), int(self.arguments.get("port", 6379))) if host else None

    def __repr__(self) -> str:
        return f"Target({self.connection_class.__name__})"


async def find(connection: Mapping[str, Any], limit_seconds: float) -> Target:
    """Return where the primary of an entry of ``hosts`` is now.

    Raises:
        DialFailed: no Sentinel knows its primary.
    """
    entry = dict(connection)
    for name in IGNORED:
        entry.pop(name, None)
    if "address" in entry:
        address = entry.pop("address")
        parsed: dict[str, Any] = {**entry, **parse_url(address)}
        for name in IGNORED:
            parsed.pop(name, None)
        return Target(chosen_class(parsed), parsed)
    if "master_name" in entry:
        return await _find_by_sentinel(entry, limit_seconds)
    if "path" in entry or "unix_socket_path" in entry:
        entry["path"] = entry.pop("unix_socket_path", None) or entry["path"]
        return Target(entry.pop("connection_class", UnixDomainSocketConnection), entry)
    return Target(chosen_class(entry), entry)


async def _find_by_sentinel(entry: dict[str, Any], limit_seconds: float) -> Target:
    name = entry.pop("master_name")
    addresses = [(str(host), int(port)) for host, port in entry.pop("sentinels")]
    # One that hangs must not keep the others from being asked.
    share = max(limit_seconds / (len(addresses) + 1), 0.2)
    given = {key: value for key, value in (entry.pop("sentinel_kwargs", None) or {}).items() if key not in IGNORED}
    troubles = []
    try:
        async with asyncio.timeout(limit_seconds), _every_cancellation_counts():
            for address in addresses:
                try:
                    host, port = await _primary_of(name, address, given, share)
                except (RedisError, OSError, TypeError, DialFailed) as error:
                    troubles.append("{}:{}: {}".format(*address, str(error) or type(error).__name__))
                else:
                    return Target(chosen_class(entry), {**entry, "host": host, "port": port})
    except TimeoutError:
        troubles.append(f"no answer within {limit_seconds:g} s")
    raise DialFailed(f"no Sentinel of {len(addresses)} names a primary for {name!r}: {'; '.join(troubles)}")


async def _primary_of(
    name: str, address: tuple[str, int], given: Mapping[str, Any], limit_seconds: float
) -> tuple[str, int]:
    """Ask one Sentinel where a primary is that it takes for alive.

    While it leads a failover, SENTINEL MASTER describes the server that is being replaced, until the last replica
    follows the new one; SENTINEL GET-MASTER-ADDR-BY-NAME names the new one from its promotion on.
    """
    limits = {"socket_connect_timeout": limit_seconds, "socket_timeout": limit_seconds}
    arguments = {**limits, **given, "retry": Retry(NoBackoff(), 0), "protocol": 2}
    # redis-py types its connections in part only.
    make_pool: Any = ConnectionPool
    pool = make_pool(connection_class=chosen_class(arguments), **arguments, host=address[0], port=address[1])
    client: Any = Redis.from_pool(pool)
    # Its callbacks reshape the answer differently from version to version.
    client.response_callbacks.clear()
    try:
        answer = await client.execute_command("SENTINEL", "MASTER", name)
        host, port = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
    finally:
        await client.aclose()
    said = {key.decode(): value.decode(errors="replace") for key, value in zip(answer[::2], answer[1::2], strict=True)}
    primary = host.decode(), int(port)
    is_described = primary == (said["ip"], int(said["port"]))
    if is_described and {"s_down", "o_down"} & set(said["flags"].split(",")):
        raise DialFailed(f"it takes {said['ip']}:{said['port']} for down")
    return primary


async def dial(
    target: Target,
    limit_seconds: float,
    on_push: Callable[[Any], None] | None,
    on_lost: Callable[[str], None],
) -> Wire:
    """Connect, log in, and hand over the socket.

    Raises:
        DialFailed: it did not work within the limit; redis-py's own error is the cause.
    """
    arguments = {
        "socket_keepalive": True,
        **target.arguments,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": limit_seconds,
        "socket_connect_timeout": limit_seconds,
        "protocol": 2,
    }
    if issubclass(target.connection_class, UnixDomainSocketConnection):
        arguments.pop("socket_keepalive")
    make_connection: Any = target.connection_class
    try:
        connection = make_connection(**arguments)
    except TypeError as error:
        raise DialFailed(f"redis-py does not take these options: {error}") from error
    try:
        async with asyncio.timeout(limit_seconds), _every_cancellation_counts():
            await connection.connect()
    except TimeoutError as error:
        await connection.disconnect(nowait=True)
        raise DialFailed(f"no connection within {limit_seconds:g} s") from error
    except (RedisError, OSError) as error:
        text = with_code(str(error) or type(error).__name__)
        answered = _answered(error)
        raise DialFailed(text, refused=text if answered else "") from error
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return _take_over(connection, Wire(on_push, on_lost))


@asynccontextmanager
async def _every_cancellation_counts() -> AsyncIterator[None]:
    """Raise at the end what was swallowed on the way.

    redis-py connects through ``asyncio.wait_for``, which in Python 3.11 returns its result where a cancellation comes
    in the same turn (https://github.com/python/cpython/issues/86296). Whoever cancelled waits for the end of the task.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    yield
    if task.cancelling() > before:
        raise asyncio.CancelledError


def _answered(error: BaseException) -> bool:
    from redis.exceptions import AuthenticationError, ResponseError

    return isinstance(error, AuthenticationError | ResponseError)


def _take_over(connection: AbstractConnection, wire: Wire) -> Wire:
    # redis-py has no public way to hand over a socket. These two attributes have had these names since its asyncio
    # client exists, and a test opens every kind of connection through here.
    writer = connection._writer
    assert writer is not None
    connection._reader = connection._writer = None
    wire.take_over(writer.transport, held=writer)
    return wire
