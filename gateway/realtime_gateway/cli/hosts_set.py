"""`hosts set`: one list becomes another while everything runs, for deployments whose lists nobody else makes.

The steps are those of the operator (``hosts.rolling``). There is no durable copy but what the shards hold: a list
exists once the first of the present list's shards has taken it, which it does only if it is still where it was seen.
Whoever comes second sees the other one's list and goes on from there. May be killed anywhere and run again.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from realtime_gateway.errors import ConfigurationError, ShardError, ShardUnavailable
from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.hosts.rolling import Mint, Roll, Seen, Wanted, Why, next_step, same_shards
from realtime_gateway.layer.host_survey import Deployment, Survey, survey, tell
from realtime_gateway.layer.names import Names

LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Change:
    """What is asked for.

    Attributes:
        shards: of the list that is to be.
        expiry_seconds: how long messages live, and so how long an earlier owner may still hold one.
        timeout_seconds: for all of it.
        file: the host-list file of the deployment, which is kept up to date; None where there is none.
    """

    shards: tuple[Shard, ...]
    expiry_seconds: float
    timeout_seconds: float
    file: Path | None


async def bring_about(change: Change, present: HostList, deployment: Deployment, say: Callable[[str], None]) -> bool:
    """Take step after step; return whether it is finished.

    Raises:
        ConfigurationError: somebody else makes the lists, or what shards hold is signed with keys that are not given.
        ShardError: a shard of the new list does not answer, so that nothing was changed.
    """
    setting = _Setting(change, present, deployment, say)
    deadline = time.monotonic() + change.timeout_seconds
    while not await setting.step():
        if time.monotonic() >= deadline:
            say("not finished yet; run the same command again to go on")
            return False
        await asyncio.sleep(0 if setting.changed else LOOK_SECONDS)
    return True


def refuse_managed(hosts: HostList) -> None:
    """Raise a ConfigurationError when somebody makes a deployment's lists."""
    if hosts.managed_by:
        raise ConfigurationError(
            f"{hosts.managed_by} makes the lists of this deployment (epoch {hosts.epoch}).",
            "Change its resource (spec.redis) instead.",
        )


class _Setting:
    def __init__(self, change: Change, present: HostList, deployment: Deployment, say: Callable[[str], None]) -> None:
        self._change = change
        self._present = present
        self._deployment = deployment
        self._say_anything = say
        self._said = ""
        self._settled: tuple[int, float] | None = None  # the epoch that all use, and since when
        self._minted = False
        self.changed = False  # by the last step, so that the next one need not wait

    async def step(self) -> bool:
        """Look at everything and do what comes next; return whether nothing is left to do."""
        asked = {shard.name: shard for shard in (*self._change.shards, *self._present.every_shard)}
        seen = await survey(asked.values(), self._deployment)
        newest = seen.newest
        if newest is not None and newest.epoch > self._present.epoch:
            if self._minted and not same_shards(newest.shards, self._change.shards):
                raise ConfigurationError(
                    f"Somebody else has made another list meanwhile, of epoch {newest.epoch}: it stays.",
                    "Agree with them, and run this command again if the list should be yours.",
                )
            self._present, self.changed = newest, True
            return False  # it may name shards that have not been asked
        self._refuse(self._present, seen)
        wanted = Wanted(self._change.shards, self._change.expiry_seconds, unready=self._unready(seen))
        found = next_step(wanted, self._seen(seen))
        self.changed = isinstance(found, Mint)
        if isinstance(found, Mint):
            await self._mint(found, seen)
            return False
        assert isinstance(found, Roll), "a list is in use, were it a plain one"
        return await self._roll(found, seen)

    def _refuse(self, present: HostList, seen: Survey) -> None:
        refuse_managed(present)
        for name, hosts in seen.hosts.items():
            if hosts is not None and hosts.signature and not self._deployment.documents.are_signed:
                raise ConfigurationError(
                    f"The list on shard {name} is signed, and one that is not would be refused by every process.",
                    "Name the layer's encryption keys with --keys-file.",
                )
        for name, hosts in seen.unsigned.items():
            # One that is older is replaced, and the list in use came signed or from a file: nothing else is taken over.
            if hosts.epoch > present.epoch or (hosts.epoch == present.epoch and not hosts.same_as(present)):
                raise _not_signed(name, hosts, self._deployment.names)

    def _unready(self, seen: Survey) -> tuple[str, ...]:
        listed = {shard.name for shard in self._present.shards}
        return tuple(s.name for s in self._change.shards if s.name not in listed and s.name in seen.troubles)

    def _seen(self, found: Survey) -> Seen:
        epoch, since = self._settled or (-1, 0.0)
        return Seen(
            durable=self._present,
            # With the keys at hand a signed list is one like any other: it can be replaced from here.
            stored={
                name: replace(hosts, signature="") if hosts else None
                for name, hosts in {**found.hosts, **found.unsigned}.items()
            },
            unanswered=tuple(found.troubles),
            reports=found.reports,
            settled_seconds=time.monotonic() - since if epoch == self._present.epoch else 0.0,
        )

    async def _mint(self, minted: Mint, seen: Survey) -> None:
        first = next((s for s in sorted(self._present.shards, key=lambda s: s.name) if s.name in seen.boards), None)
        if first is None:
            raise ShardUnavailable(
                self._present.shards[0].name, "No shard of the list in use answers, so that no other can be made."
            )
        there = await tell(first, minted.hosts, self._deployment, expected=seen.boards[first.name].epoch)
        if there.document != self._deployment.documents.write(minted.hosts):
            self._say(f"somebody else has just made a list of epoch {there.epoch}")
            return
        self._present, self._minted = minted.hosts, True
        what = "the earlier lists are retired" if minted.why is Why.RETIRE else f"{len(minted.hosts.shards)} shards"
        self._say(f"epoch {minted.hosts.epoch}: {what}")
        self._write_file()

    async def _roll(self, roll: Roll, seen: Survey) -> bool:
        if roll.unready:
            trouble = seen.troubles[roll.unready[0]]
            raise ShardUnavailable(roll.unready[0], f"{trouble} It is in the new list: nothing was changed.")
        if not roll.settled:
            self._settled = None
        elif self._settled is None or self._settled[0] != self._present.epoch:
            self._settled = (self._present.epoch, time.monotonic())
        shards = {shard.name: shard for shard in self._present.every_shard}
        for name in roll.tell:
            try:
                await tell(shards[name], self._present, self._deployment)
            except ShardError as error:
                self._say(str(error))
            else:
                self.changed = True
        if not roll.finished:
            self._say(self._waiting_for(roll))
            return False
        self._write_file()
        self._say(f"epoch {self._present.epoch} is in use everywhere; a shard that it does not name may be ended")
        return True

    def _waiting_for(self, roll: Roll) -> str:
        epoch = self._present.epoch
        if roll.tell:
            return f"telling {', '.join(roll.tell)} of epoch {epoch}"
        if roll.behind:
            return f"waiting for {', '.join(roll.behind)} to use epoch {epoch}"
        if roll.settled:
            return f"all use epoch {epoch}; the earlier lists are retired in {roll.expiry_seconds:g} s"
        return f"{', '.join(roll.unreached) or 'every shard'} cannot be told of epoch {epoch} yet"

    def _write_file(self) -> None:
        path = self._change.file
        if path is None:
            return
        text = self._present.to_json()
        try:
            if path.read_text() == text:
                return
            replace_file(path, text)
        except OSError as error:
            self._say(f"{path} cannot be written ({error.strerror}): put the list of epoch {self._present.epoch} there")

    def _say(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._say_anything(line)


def _not_signed(shard: str, hosts: HostList, names: Names) -> ConfigurationError:
    return ConfigurationError(
        f"The list of epoch {hosts.epoch} on shard {shard} is not signed with a key of this channel layer, so whoever "
        "can write to Redis may have put it there, with servers of his own. It is not followed, nothing changes.",
        f"If it is the deployment's, write it into a file and name that with --config. Else delete {names.hosts} and "
        f"{names.epoch} on that shard, and change who may write there.",
    )


def replace_file(path: Path, text: str) -> None:
    """Replace a file in one step for whoever reads it, and keep who may read it."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
