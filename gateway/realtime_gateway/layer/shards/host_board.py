"""What a shard holds of the host list and of who lives, for tools: read it, and bring it up to a newer list.

Each call opens one connection and closes it again. The data plane does the same things over its own links.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from realtime_gateway.errors import ShardRefused, ShardUnavailable
from realtime_gateway.layer.names import Names
from realtime_gateway.layer.shards.dialling import DialFailed, find

ANSWER_SECONDS = 2.0
_REPLICA_WAIT_MS = 500


@dataclass(frozen=True)
class Process:
    """What a process of the data plane said of itself within the last 30 s.

    Attributes:
        id: tells it apart from every other one.
        name: what people call it.
        epoch: of the list it uses; 0 for a plain list, and for one that says nothing that can be read.
        expiry_seconds: how long its messages live.
    """

    id: str
    name: str
    epoch: int
    pid: int = 0
    connections: int = 0
    version: str = ""
    expiry_seconds: float = 0.0


@dataclass(frozen=True)
class Board:
    """What one shard holds.

    Attributes:
        epoch: 0 where no list was ever stored.
        document: the list of that epoch as it is stored; empty where there is none.
        processes: who has written to this shard that it lives.
    """

    epoch: int
    document: str
    processes: tuple[Process, ...]


@dataclass(frozen=True)
class News:
    """A list to be written: its epoch, its document, and the pub/sub channel that announces it on the shard."""

    epoch: int
    document: str
    topic: str


async def look(shard: str, connection: Mapping[str, Any], names: Names) -> Board:
    """Read what a shard holds.

    Args:
        shard: its name, for errors.
        connection: one entry of ``hosts`` in its dict form, with the account to log in by.
        names: the deployment's.

    Raises:
        ShardUnavailable: it does not answer.
        ShardRefused: it answers with an error.
    """
    # With the commands that the data plane uses, so that an account with no more rights than those will do.
    async with _client(shard, connection) as client:
        epoch, document = await client.get(names.epoch), await client.get(names.hosts)
        ids = await client.zrangebyscore(names.processes, "-inf", "+inf")
        reports = client.pipeline(transaction=False)
        for one in ids:
            reports.get(names.process(one))
        said = await reports.execute() if ids else []
    living = tuple(_process(one, text) for one, text in zip(ids, said, strict=True) if text)
    return Board(int(epoch or 0), document or "", living)


async def announce(
    shard: str, connection: Mapping[str, Any], names: Names, news: News, *, expected: int | None = None
) -> Board:
    """Bring a shard up to a newer list, give one replica a moment to have it too, and return what is there now.

    Args:
        shard: as for ``look``.
        connection: as for ``look``.
        names: as for ``look``.
        news: what to write.
        expected: write only if the shard is at exactly this epoch; None: at any older one.

    Raises:
        ShardUnavailable: it does not answer; whether it took the list is not known.
        ShardRefused: it answers with an error, such as READONLY.
    """
    script = files(__package__).joinpath("announce.lua").read_text()
    arguments = (news.epoch, news.document, news.topic, "" if expected is None else expected)
    async with _client(shard, connection) as client:
        _, epoch, document = await client.eval(script, 2, names.epoch, names.hosts, *arguments)
        with suppress(ResponseError):  # best effort: not every account may wait for replicas
            await client.wait(1, _REPLICA_WAIT_MS)
    return Board(int(epoch), document, ())


@asynccontextmanager
async def _client(shard: str, connection: Mapping[str, Any]) -> AsyncIterator[Any]:
    try:
        async with asyncio.timeout(2 * ANSWER_SECONDS):
            target = await find(connection, ANSWER_SECONDS)
            arguments = {
                **target.arguments,
                "retry": Retry(NoBackoff(), 0),
                "socket_timeout": ANSWER_SECONDS,
                "socket_connect_timeout": ANSWER_SECONDS,
                "decode_responses": True,
                "protocol": 2,
            }
            make_pool: Any = ConnectionPool
            client: Any = Redis.from_pool(make_pool(connection_class=target.connection_class, **arguments))
            try:
                yield client
            finally:
                await client.aclose()
    except (AuthenticationError, ResponseError) as error:
        raise ShardRefused(shard, f"The Redis shard {shard!r} refused: {error}") from error
    except (DialFailed, RedisError, OSError, TimeoutError, TypeError) as error:
        reason = str(error) or type(error).__name__
        raise ShardUnavailable(shard, f"The Redis shard {shard!r} does not answer: {reason}") from error


def _process(identity: str, text: str) -> Process:
    try:
        said = json.loads(text)
        return Process(
            identity,
            str(said.get("name") or identity),
            int(said["epoch"]),
            int(said.get("pid", 0)),
            int(said.get("connections", 0)),
            str(said.get("version", "")),
            float(said.get("expiry_seconds", 0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        # Something that cannot be read is somebody at no epoch: nothing is retired while it is there.
        return Process(identity, identity, 0)
