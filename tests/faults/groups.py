"""Names of groups, so many on each shard."""

from __future__ import annotations

from itertools import count

from realtime_gateway.hosts import HostList, Shard


def groups_on_each(*shards: str, number: int = 2) -> list[str]:
    """Return groups of which each of these shards owns so many."""
    hosts = HostList(0, tuple(Shard(name) for name in shards))
    found: dict[str, list[str]] = {name: [] for name in shards}
    for index in count():
        group = f"room-{index}"
        of_owner = found[hosts.owner(group).name]
        if len(of_owner) < number:
            of_owner.append(group)
        if all(len(groups) == number for groups in found.values()):
            return [group for groups in found.values() for group in groups]
    raise AssertionError
