"""What a newer host list means for one destination: which shards owned it one after the other, and until when."""

from __future__ import annotations

from realtime_gateway.hosts import HostList
from realtime_gateway.layer.machine.follow import Span


def owners_after(old: HostList, new: HostList, name: str) -> list[tuple[int, str]]:
    """Epoch and owner of a name in each list after ``old`` up to ``new``, the oldest first."""
    lists = [one for one in reversed(new.earlier) if one.epoch > old.epoch]
    return [(one.epoch, one.owner(name).name) for one in (*lists, new)]


def has_unknown_owners(old: HostList, new: HostList, *, took_part: bool) -> bool:
    """Whether lists between the two were retired before they were seen here.

    A plain list has no epoch: whoever starts from one takes part from the first document that it sees.

    Args:
        old: the list in use until now.
        new: the one that takes its place.
        took_part: whether a shard has answered that it was at epoch 0, so that a plain list was in use there.
    """
    known = {one.epoch for one in new.earlier} | {old.epoch, new.epoch}
    return (old.epoch > 0 or took_part) and any(epoch not in known for epoch in range(old.epoch, new.epoch))


def split(span: Span, last_epoch: int, owners: list[tuple[int, str]]) -> tuple[list[Span], Span]:
    """Follow a destination from owner to owner: return the spans that end, in order, and the one that lasts.

    Args:
        span: of the owner until now.
        last_epoch: the epoch in use until now.
        owners: as ``owners_after`` returns them.
    """
    ended: list[Span] = []
    for epoch, shard in owners:
        if shard != span.shard:
            span.until_epoch = last_epoch
            ended.append(span)
            span = Span(shard, epoch)
        last_epoch = epoch
    return ended, span


def earlier_spans(hosts: HostList, name: str) -> list[Span]:
    """Spans of owners in lists that are not retired: a late writer may still reach them."""
    found: list[Span] = []
    for older in reversed(hosts.earlier):
        shard = older.owner(name).name
        if found and found[-1].shard == shard:
            found[-1].until_epoch = older.epoch
        else:
            span = Span(shard, older.epoch)
            span.until_epoch = older.epoch
            found.append(span)
    present = hosts.owner(name).name
    return [span for span in found if span.shard != present]


def owned_elsewhere(old: HostList, new: HostList, name: str, shard: str) -> bool:
    """Whether another shard owned a name in any list after ``old``: then readers may have left this one for good."""
    return any(owner != shard for _, owner in owners_after(old, new, name))


def unretired_shards(hosts: HostList) -> tuple[str, ...]:
    """Return the names of the shards that a list and the earlier ones in it have, each once."""
    return tuple(dict.fromkeys(shard.name for shard in hosts.every_shard))
