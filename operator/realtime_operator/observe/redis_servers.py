"""Redis servers and Sentinels asked what they are, each within a second; who does not answer is Unknown."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import HostList
from realtime_operator.snapshot import Address, Attached, Monitored, Process, Role, Server, Unknown

ANSWER_SECONDS = 1.0
# A subscription that hears nothing for this long is tried by a ping, which gets as long again.
PING_SECONDS = 5.0
USER = "operator"
T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """What the data plane keeps on a shard for whoever asks.

    Attributes:
        hosts: the host list stored there; None when there is none.
    """

    hosts: HostList | Unknown | None
    processes: tuple[Process, ...]


@dataclass(frozen=True)
class Encryption:
    """How connections are encrypted.

    Attributes:
        context: our certificate, and whom we trust.
        name: that the other side's certificate must have; its address is a number that nobody knows before.
    """

    context: ssl.SSLContext
    name: str


class EncryptedConnection(Connection):
    """redis-py's connection by TLS, with a context that is there already."""

    def __init__(self, encryption: Encryption, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._encryption = encryption

    def _connection_arguments(self) -> Mapping[str, Any]:
        encrypted = {"ssl": self._encryption.context, "server_hostname": self._encryption.name}
        return {**super()._connection_arguments(), **encrypted}


class RedisServers:
    """Kept connections to the servers and Sentinels of one resource.

    Args:
        password: of the operator's account, which is asked for at each new connection.
        encryption: asked for at each new connection as well; None means plain, Unknown that none can be made.
    """

    def __init__(
        self, password: Callable[[], str], encryption: Callable[[], Encryption | Unknown | None] = lambda: None
    ) -> None:
        self._password = password
        self._encryption = encryption
        self._clients: dict[Address, Redis] = {}

    def client(self, address: Address) -> Redis:
        """A client that answers within a second or not at all, and never sends a command twice."""
        if address not in self._clients:
            self._clients[address] = self._new_client(address)
        return self._clients[address]

    def _new_client(self, address: Address) -> Redis:
        encryption = self._encryption()
        if isinstance(encryption, Unknown):
            raise ConnectionError(encryption.why)
        by = {} if encryption is None else {"connection_class": EncryptedConnection, "encryption": encryption}
        # redis-py types its pools in part only.
        make_pool: Any = ConnectionPool
        pool = make_pool(
            host=address.host,
            port=address.port,
            username=USER,
            password=self._password(),
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
            **by,
        )
        return Redis.from_pool(pool)

    async def tell(self, address: Address, *words: str | int) -> Any:
        """Give a server or Sentinel one command, once, and return its answer.

        Raises:
            RedisError, OSError: it refused, or did not answer; then nobody knows whether it took it.
        """
        return await _command(self.client(address), *words)

    async def close(self) -> None:
        """Close every connection."""
        clients, self._clients = list(self._clients.values()), {}
        await asyncio.gather(*(client.aclose() for client in clients))

    async def server(self, address: Address) -> Server | Unknown:
        """What a Redis server says of itself."""
        return await self._ask(address, _server)

    async def sentinel(self, address: Address) -> Mapping[str, Monitored] | Unknown:
        """What a Sentinel says of each master name."""
        return await self._ask(address, _masters)

    async def stored(self, address: Address, prefix: str) -> Stored | Unknown:
        """What the data plane keeps on a primary."""
        return await self._ask(address, lambda client: _stored(client, prefix))

    async def messages(self, address: Address, channel: str) -> AsyncIterator[str]:
        """Listen to a channel, and yield each message until the connection breaks, or is silent to a ping.

        Yields an empty text first, when it listens: what was said before that was not heard.
        """
        # A client of its own, since one that listens can ask nothing.
        try:
            async with self._new_client(address) as client, client.pubsub() as listener:
                await listener.subscribe(channel)
                pinged = False
                while True:
                    message = await listener.get_message(timeout=PING_SECONDS)
                    if message is None and pinged:
                        return
                    if message is None:
                        await listener.ping()
                    # Whatever comes, an answer to a ping too, says that the other side is there.
                    pinged = message is None
                    if message is not None and message["type"] in {"subscribe", "message"}:
                        yield str(message["data"]) if message["type"] == "message" else ""
        except (RedisError, OSError, TimeoutError):
            return

    async def _ask(self, address: Address, question: Callable[[Redis], Awaitable[T]]) -> T | Unknown:
        try:
            async with asyncio.timeout(2 * ANSWER_SECONDS):
                with suppress(ConnectionError):
                    return await question(self.client(address))
                # A kept connection that was closed meanwhile (Sentinel does so after a failover) says nothing of the
                # server: a question may be asked again on a new one.
                await self._drop(address)
                return await question(self.client(address))
        except (RedisError, OSError, TimeoutError) as error:
            # A connection that failed is not used again, and neither is the password that it was made with.
            await self._drop(address)
            return Unknown(f"{address}: {str(error) or type(error).__name__}", _is_of_tls(error))

    async def _drop(self, address: Address) -> None:
        client = self._clients.pop(address, None)
        if client is not None:
            await client.aclose()


def _is_of_tls(error: BaseException | None) -> bool:
    """Whether TLS is what an error came from: redis-py puts its own before that of the socket."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error is not None


async def _server(client: Redis) -> Server:
    info = await client.info("replication")
    keyspace = await client.info("keyspace")
    run_id = (await client.info("server"))["run_id"]
    keys = sum(int(database["keys"]) for database in keyspace.values())
    if info["role"] == "master":
        attached = tuple(_attached(info[f"slave{n}"]) for n in range(info["connected_slaves"]) if f"slave{n}" in info)
        online = tuple(replica for replica in attached if replica is not None)
        return Server(
            Role.PRIMARY, run_id, info["master_replid"], int(info["master_repl_offset"]), keys, attached=online
        )
    follows = Address(str(info["master_host"]), int(info["master_port"]))
    up = info["master_link_status"] == "up"
    offset = int(info["slave_repl_offset"])
    return Server(Role.REPLICA, run_id, info["master_replid"], max(offset, 0), keys, follows, up)


def _attached(entry: Mapping[str, Any]) -> Attached | None:
    if entry.get("state") != "online":
        return None
    return Attached(Address(str(entry["ip"]), int(entry["port"])), int(entry["offset"]))


async def _command(client: Redis, *words: str | int) -> Any:
    untyped: Any = client.execute_command
    return await untyped(*words)


async def _masters(client: Redis) -> Mapping[str, Monitored]:
    answer = await _command(client, "SENTINEL", "MASTERS")
    states = answer.values() if isinstance(answer, Mapping) else [_pairs(entry) for entry in answer]
    return {state["name"]: _monitored(state) for state in states}


def _pairs(entry: Any) -> Mapping[str, Any]:
    return entry if isinstance(entry, Mapping) else dict(zip(entry[::2], entry[1::2], strict=True))


def _monitored(state: Mapping[str, Any]) -> Monitored:
    flags = state["flags"]
    words = flags.split(",") if isinstance(flags, str) else flags
    return Monitored(
        Address(str(state["ip"]), int(state["port"])),
        objectively_down="o_down" in words,
        failover_in_progress="failover_in_progress" in words,
    )


async def _stored(client: Redis, prefix: str) -> Stored:
    # These three keys are the layer's (its `names`): the operator reads them as people read a notice board.
    document = _text(await client.get(f"{prefix}:hosts"))
    names = [_text(name) for name in await client.zrange(f"{prefix}:processes", 0, -1)]
    said = await client.mget([f"{prefix}:process:{name}" for name in names]) if names else []
    found = zip(names, map(_text, said), strict=True)
    return Stored(_hosts(document), tuple(_process(name, text) for name, text in found if text))


def _text(value: object) -> str:
    """A reply as text: the client decodes them, which its types cannot say."""
    return value if isinstance(value, str) else ""


def _hosts(text: str) -> HostList | Unknown | None:
    if not text:
        return None
    try:
        return HostList.from_json(text, "the shard")
    except HostListInvalid as error:
        return Unknown(str(error))


def _process(identity: str, text: str) -> Process:
    try:
        said = json.loads(text)
        return Process(
            str(said.get("name") or identity),
            int(said["epoch"]),
            int(said.get("connections", 0)),
            identity,
            float(said.get("expiry_seconds", 0)),
            said.get("auth_stack"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        # Something that cannot be read is somebody at no epoch: nothing is retired while it is there.
        return Process(identity, 0, id=identity)
