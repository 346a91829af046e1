"""Questions to the Redis servers and Sentinels of a run; no answer is a value, not an exception."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from realtime_gateway.local.plan import LOOPBACK

ANSWER_SECONDS = 1.0


@dataclass(frozen=True)
class Role:
    """What ROLE answers.

    Attributes:
        is_primary: master, in Redis' word.
        primary_port: of a replica's primary.
        linked: whether a replica has its data and follows.
        replicas: how many follow a primary.
    """

    is_primary: bool
    primary_port: int | None = None
    linked: bool = False
    replicas: int = 0


async def role(port: int) -> Role | None:
    """Ask a server for its role; None while it does not answer."""
    answer = await _ask(port, "ROLE")
    if not isinstance(answer, list):
        return None
    kind = _text(answer[0])
    if kind == "master":
        return Role(is_primary=True, replicas=len(answer[2]))
    return Role(is_primary=False, primary_port=int(answer[2]), linked=_text(answer[3]) == "connected")


async def holds_data(port: int) -> bool:
    """Tell whether a server answers and is, or has followed, a primary; one that has only just started has not."""
    answer = await _ask(port, "INFO", "replication")
    if not isinstance(answer, bytes):
        return False
    fields = dict(line.split(":", 1) for line in _text(answer).splitlines() if ":" in line)
    # 1 is what a replica says that was never linked to a primary. One that was has 0, or the sum of what it got since,
    # and no command is a single byte long.
    return fields["role"] == "master" or fields.get("slave_repl_offset") != "1"


async def primary_ports(sentinel_ports: Sequence[int], shard: str) -> list[int | None]:
    """Ask each Sentinel in parallel for the port of a shard's primary; None for one that does not know."""
    answers = await asyncio.gather(*(primary_of(f"redis://{LOOPBACK}:{port}", shard) for port in sentinel_ports))
    return [answer[1] if answer else None for answer in answers]


async def primary_of(sentinel_url: str, shard: str) -> tuple[str, int] | None:
    """Ask one Sentinel for the address of a shard's primary; None when it does not answer or does not know."""
    answer = await _ask_url(sentinel_url, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", shard)
    return (_text(answer[0]), int(answer[1])) if isinstance(answer, list) else None


async def known_primaries(sentinel_port: int) -> dict[str, int]:
    """Ask one Sentinel for the ports of all primaries that it knows; empty while it does not answer."""
    answer = await _ask(sentinel_port, "SENTINEL", "MASTERS")
    tables = [_table(entry) for entry in answer] if isinstance(answer, list) else []
    return {table["name"]: int(table["port"]) for table in tables}


async def sentinel_complaint(sentinel_port: int, shard: str, replicas: int) -> str | None:
    """Return what a Sentinel lacks to fail over a shard; None when it is ready to."""
    answer = await _ask(sentinel_port, "SENTINEL", "MASTER", shard)
    if not isinstance(answer, list):
        return "does not answer"
    table = _table(answer)
    if table["flags"] != "master":
        return f"sees {shard} as {table['flags']}"
    if int(table["num-slaves"]) < replicas:
        return f"sees {table['num-slaves']} of {replicas} replicas of {shard}"
    quorum = await _ask(sentinel_port, "SENTINEL", "CKQUORUM", shard)
    return None if isinstance(quorum, bytes) and quorum.startswith(b"OK") else f"has no quorum for {shard}"


async def monitor(sentinel_port: int, shard: str, primary_port: int, quorum: int, options: Mapping[str, int]) -> None:
    """Tell a Sentinel of a shard; one that knows it already keeps what it knows."""
    told = await _ask(sentinel_port, "SENTINEL", "MONITOR", shard, LOOPBACK, str(primary_port), str(quorum))
    if told is not None:
        await _ask(sentinel_port, "SENTINEL", "SET", shard, *(str(word) for pair in options.items() for word in pair))


async def forget(sentinel_port: int, shard: str) -> None:
    """Tell a Sentinel that a shard is gone, so that it does not report it as down for ever."""
    await _ask(sentinel_port, "SENTINEL", "REMOVE", shard)


async def order_failover(sentinel_port: int, shard: str) -> None:
    """Ask a Sentinel to fail over now; it refuses while it already does, or has no replica to promote."""
    await _ask(sentinel_port, "SENTINEL", "FAILOVER", shard)


async def reporting_processes(url: str, prefix: str) -> set[tuple[str, int]]:
    """Return name and pid of the processes whose channel layers have written a heartbeat to the server at ``url``."""
    return {(name, pid) for name, pid, _ in map(_reporter, await _reports(url, prefix))}


async def reported_epochs(urls: Sequence[str], prefix: str) -> dict[str, int]:
    """Return by name the epoch that each process reports to use, as the first server says that knows of any."""
    for url in urls:
        reports = await _reports(url, prefix)
        if reports:
            return {name: epoch for name, _, epoch in map(_reporter, reports) if name}
    return {}


async def _reports(url: str, prefix: str) -> list[bytes]:
    # The layer's package imports Django, for which a run without workers need not wait.
    from realtime_gateway.layer.names import Names

    names = Names(prefix)
    ids = await _ask_url(url, "ZRANGE", names.processes, "0", "-1")
    if not isinstance(ids, list) or not ids:
        return []
    reports = await _ask_url(url, "MGET", *(names.process(_text(process)) for process in ids))
    return [report for report in reports or () if report is not None]


async def ping_refusal(url: str) -> str | None:
    """Return the error of a PING to the server at ``url``, without anything of the URL; None when it answers."""
    async with _client(url) as client:
        try:
            await client.execute_command("PING")
        except (RedisError, OSError) as error:
            return str(error) or type(error).__name__
    return None


async def _ask(port: int, *words: str) -> Any:
    return await _ask_url(f"redis://{LOOPBACK}:{port}", *words)


async def _ask_url(url: str, *words: str) -> Any:
    async with _client(url) as client:
        try:
            return await client.execute_command(*words)
        except (RedisError, OSError):
            return None


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[Any]:
    # redis-py types its pools in part only.
    make_pool: Any = ConnectionPool
    arguments: dict[str, Any] = {**parse_url(url)}
    if url.startswith("rediss:"):
        # As the application will connect. The layer's package imports Django, for which others need not wait.
        from realtime_gateway.layer.shards.encrypted import chosen_class

        arguments["connection_class"] = chosen_class(arguments)
    limits = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    pool = make_pool(**{**arguments, **limits, "retry": Retry(NoBackoff(), 0), "protocol": 2})
    client: Any = Redis.from_pool(pool)
    # Its callbacks reshape the answers of SENTINEL and ROLE differently from version to version.
    client.response_callbacks.clear()
    try:
        yield client
    finally:
        await client.aclose()


def _reporter(report: bytes) -> tuple[str, int, int]:
    """Return name, pid and epoch."""
    try:
        said = json.loads(report)
        return str(said["name"]), int(said["pid"]), int(said.get("epoch", 0))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", 0, 0  # written by something else than a layer that we know


def _table(flat: Sequence[Any]) -> dict[str, str]:
    texts = [_text(word) for word in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
