"""A host list, what the shards hold of it and who uses it, for people and as JSON. Pure: what was seen in, text out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from realtime_gateway.hosts import HostList, Shard, moved_share
from realtime_gateway.layer.host_survey import Survey
from realtime_gateway.layer.options import describe

_PLAIN = "a plain list"


@dataclass(frozen=True)
class View:
    """What is shown.

    Attributes:
        hosts: the list in use: the newest that was found.
        seen: what its shards, and those of its earlier lists, answered.
    """

    hosts: HostList
    seen: Survey

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not in order, a sentence each."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        epoch = self.hosts.epoch
        for shard in self.hosts.every_shard:
            state = self.state_of(shard)
            if state != "in step":
                yield f"shard {shard.name} {state}"
        behind = [process.name for process in self.seen.processes if process.epoch < epoch]
        if behind:
            yield f"not at epoch {epoch} yet: {', '.join(behind)}"
        if self.hosts.earlier:
            yield f"earlier lists are not retired: {', '.join(str(older.epoch) for older in self.hosts.earlier)}"

    def state_of(self, shard: Shard) -> str:
        """What a shard holds, as the end of a sentence about it."""
        trouble = self.seen.troubles.get(shard.name)
        if trouble is not None:
            return f"cannot be read: {trouble}"
        unsigned = self.seen.unsigned.get(shard.name)
        if unsigned is not None:
            return f"holds a list of epoch {unsigned.epoch} that is not signed with the layer's keys"
        held = self.seen.hosts.get(shard.name)
        epoch = held.epoch if held else 0
        if epoch != self.hosts.epoch:
            return f"is at epoch {epoch}" if epoch else "holds no list"
        if held is not None and not held.same_as(self.hosts):
            return f"holds another list of epoch {epoch}"
        return "in step"


def lines(view: View) -> Iterator[str]:
    """Show everything."""
    hosts = view.hosts
    title = f"host list epoch {hosts.epoch}" if hosts.epoch else f"{_PLAIN}, epoch 0: no shard holds a document"
    maker = f", made by {hosts.managed_by}" if hosts.managed_by else ""
    yield f"{title}{maker}"
    yield ""
    present = {shard.name for shard in hosts.shards}
    rows = []
    for shard in hosts.every_shard:
        note = "" if shard.name in present else "leaving"
        rows.append((shard.name, describe(shard), f"{shard.weight:g}", view.state_of(shard), note))
    yield from _table(("SHARD", "WHERE", "WEIGHT", "STATE", ""), rows)
    yield ""
    processes = view.seen.processes
    if not processes:
        yield "no process reports to these shards"
    else:
        said = [(p.name, str(p.epoch), str(p.connections), str(p.pid), p.version) for p in processes]
        yield from _table(("PROCESS", "EPOCH", "CONNECTIONS", "PID", "VERSION"), said)
    if view.problems:
        yield ""
        yield from (f"{problem[:1].upper()}{problem[1:]}" for problem in view.problems)


def as_json(view: View) -> dict[str, Any]:
    """Return the same in JSON's own types; never a password."""
    hosts, seen = view.hosts, view.seen
    return {
        "epoch": hosts.epoch,
        "managed_by": hosts.managed_by,
        "in_order": not view.problems,
        "problems": list(view.problems),
        "shards": [
            {
                "name": shard.name,
                "where": describe(shard),
                "weight": shard.weight,
                "epoch": seen.boards[shard.name].epoch if shard.name in seen.boards else None,
                "signed": bool(held.signature) if (held := seen.hosts.get(shard.name)) else False,
                "state": view.state_of(shard),
                "leaving": shard not in hosts.shards,
            }
            for shard in hosts.every_shard
        ],
        "earlier": [older.epoch for older in hosts.earlier],
        "processes": [
            {
                "id": process.id,
                "name": process.name,
                "pid": process.pid,
                "epoch": process.epoch,
                "connections": process.connections,
                "version": process.version,
            }
            for process in seen.processes
        ],
    }


def differences(present: Sequence[Shard], other: Sequence[Shard]) -> list[str]:
    """Return what another list would change, a line each; none when both are the same."""
    before, after = ({shard.name: shard for shard in shards} for shards in (present, other))
    changed = [f"- {name}  {describe(shard)}" for name, shard in before.items() if name not in after]
    changed += [f"+ {name}  {describe(shard)}" for name, shard in after.items() if name not in before]
    for name in before.keys() & after.keys():
        one, two = before[name], after[name]
        if one.weight != two.weight:
            changed.append(f"~ {name}  weight {one.weight:g} → {two.weight:g}")
        if dict(one.connection) != dict(two.connection):
            same = describe(one) == describe(two)
            how = "other options" if same else f"{describe(one)} → {describe(two)}"
            changed.append(f"~ {name}  {how}")
    return sorted(changed, key=lambda line: (line[2:], line[0]))


def moving(present: Sequence[Shard], other: Sequence[Shard]) -> str:
    """Say how many keys would have another owner."""
    return f"{moved_share(present, other):.1%} of the groups and channels would move to another shard"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
