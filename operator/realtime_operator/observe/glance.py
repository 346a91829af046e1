"""Whether Redis looks different from the last time: the cheap look between two passes."""

from __future__ import annotations

from collections.abc import Hashable

from realtime_operator.snapshot import Fleet, Member, Sentinel, Server, Shard, Snapshot, Unknown


def fingerprint(snapshot: Snapshot) -> Hashable:
    """What of Redis, certificates and processes would be decided on; offsets and counts that move are not in it."""
    processes = snapshot.fleet.processes if isinstance(snapshot.fleet, Fleet) else None
    return (
        snapshot.tls_trouble,
        tuple(_shard(shard) for shard in snapshot.shards),
        tuple(_sentinel(sentinel) for sentinel in snapshot.sentinels),
        None if processes is None else tuple((one.id, one.name, one.epoch, one.auth_stack) for one in processes),
    )


def _shard(shard: Shard) -> Hashable:
    document = shard.document
    stored = "unknown" if isinstance(document, Unknown) else None if document is None else document.to_json()
    return (shard.name, stored, tuple(_member(member) for member in shard.members))


def _member(member: Member) -> Hashable:
    server = member.server
    if not isinstance(server, Server):
        return server is None
    attached = frozenset(replica.address for replica in server.attached)
    return (server.role, server.run_id, server.follows, server.link_up, server.empty, attached)


def _sentinel(sentinel: Sentinel) -> Hashable:
    if isinstance(sentinel.answers, Unknown):
        return None
    return tuple(sorted((name, seen.primary, seen.failover_in_progress) for name, seen in sentinel.answers.items()))
