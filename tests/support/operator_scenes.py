"""Short words for what the operator may see of a shard, so that tables of cases read as sentences."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator.decide.scene import Scene
from realtime_operator.snapshot import (
    PARKED,
    Address,
    Attached,
    Member,
    Monitored,
    Pod,
    Role,
    Sentinel,
    Server,
    Shard,
    Unknown,
)

A, B, C = (Address(f"10.0.0.{n}", 6379) for n in (1, 2, 3))
MASTER = "chat-redis-0"
AWAY = Unknown("no answer within a second")
NO_POD = None


def primary(*followers: Address, keys: int = 5, offset: int = 100, history: str = "h1") -> Server:
    attached = tuple(Attached(address, offset) for address in followers)
    return Server(Role.PRIMARY, "run", history, offset, keys, attached=attached)


def replica(of: Address, *, keys: int = 5, offset: int = 100, history: str = "h1", up: bool = True) -> Server:
    return Server(Role.REPLICA, "run", history, offset, keys, follows=of, link_up=up)


def parked(*, keys: int = 0, offset: int = 0, history: str = "") -> Server:
    return replica(PARKED, keys=keys, offset=offset, history=history, up=False)


def scene(
    servers: Mapping[Address, Server | Unknown | None],
    sentinels: list[Address | Unknown | None],
    *,
    failing_over: bool = False,
    held: float = 0.0,
) -> Scene:
    """Build a scene: what answers at each address, and what each Sentinel names (None: it was told nothing)."""
    members = tuple(
        Member(ordinal, address, None if server is None else Pod(f"redis-{ordinal}", f"uid-{ordinal}", True), server)
        for ordinal, (address, server) in enumerate(servers.items())
    )
    watchers = tuple(
        Sentinel(
            ordinal,
            Address(f"10.0.1.{ordinal}", 26379),
            Pod(f"sentinel-{ordinal}", f"sentinel-uid-{ordinal}", True),
            answer if isinstance(answer, Unknown) else _told(answer, failing_over),
        )
        for ordinal, answer in enumerate(sentinels)
    )
    return Scene(Shard(0, "chat-redis-0", MASTER, members), watchers, lambda fact: held)


def _told(answer: Address | None, failing_over: bool) -> dict[str, Monitored]:
    return {} if answer is None else {MASTER: Monitored(answer, failover_in_progress=failing_over)}
