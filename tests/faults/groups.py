"""Names of groups and of work queues, so many on each shard."""

from __future__ import annotations

from itertools import count

from realtime_gateway.hosts import HostList, Shard

# What the names of normal channels begin with here, and those of groups do not.
_QUEUE = "work-"


def groups_on_each(*shards: str, number: int = 2) -> list[str]:
    """Return groups of which each of these shards owns so many."""
    return _names_on_each("room-", shards, number)


def queues_on_each(*shards: str) -> list[str]:
    """Return one normal channel for each of these shards, its owner."""
    return _names_on_each(_QUEUE, shards, 1)


def is_queue(destination: str) -> bool:
    """Whether it is a normal channel, from which any process may take."""
    return destination.startswith(_QUEUE)


def _names_on_each(beginning: str, shards: tuple[str, ...], number: int) -> list[str]:
    hosts = HostList(0, tuple(Shard(name) for name in shards))
    found: dict[str, list[str]] = {name: [] for name in shards}
    for index in count():
        name = f"{beginning}{index}"
        of_owner = found[hosts.owner(name).name]
        if len(of_owner) < number:
            of_owner.append(name)
        if all(len(names) == number for names in found.values()):
            return [name for names in found.values() for name in names]
    raise AssertionError
