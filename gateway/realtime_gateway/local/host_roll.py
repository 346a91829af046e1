"""Shards that come and go while it runs: the host list follows the resource, one step at a time.

Which step comes next is decided in ``hosts.rolling``, as for the operator. The durable copy is the run's host-list
file, which all processes read.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from realtime_gateway.environment import read_environment
from realtime_gateway.errors import GatewayError, StartError
from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.hosts.rolling import Mint, Pending, Roll, Seen, Wanted, Why, next_step, same_shards, strangers
from realtime_gateway.layer.encryption_keys import keys_of
from realtime_gateway.layer.host_survey import Deployment, Survey, survey, tell
from realtime_gateway.layer.names import Names
from realtime_gateway.layer.options import describe
from realtime_gateway.local.child import State as ChildState
from realtime_gateway.local.plan import RedisAnswers
from realtime_gateway.local.present import Present, State
from realtime_gateway.local.redis_plan import MONITOR_OPTIONS
from realtime_gateway.local.redis_questions import monitor, sentinel_complaint
from realtime_gateway.resource import RealtimeGateway
from realtime_gateway.resource.secret_files import ENCRYPTION_KEYS

LOOK_SECONDS = 1.0
MANAGER = "realtime-gateway up"
SHOWN_PROCESSES = 5


def deployment_of(resource: RealtimeGateway, secrets_directory: Path) -> Deployment:
    """Return whose lists these are: signed where the resource names encryption keys, which are in its directory."""
    keys: tuple[str, ...] = ()
    if resource.spec.channel_layer.encryption_keys_secret_ref is not None:
        keys = keys_of(secrets_directory / ENCRYPTION_KEYS)
    prefix = resource.spec.channel_layer.prefix
    environment = replace(read_environment(), secrets_directory=secrets_directory)
    return Deployment(Names(prefix), Documents(keys, prefix), environment)


async def first_list(
    resource: RealtimeGateway, shards: tuple[Shard, ...], secrets_directory: Path
) -> tuple[HostList, str]:
    """Return the host list to start with, and what to say of it.

    Shards of this run are empty. External ones may hold a list already: of a run that was ended in the middle of a
    change, which goes on from there, or of somebody else. That one the processes adopt by themselves, if they may:
    what a run writes into its file is trusted without a signature.

    Raises:
        StartError: an external shard does not say what it holds, or its list has shards that the resource has not.
    """
    wanted = Wanted(shards, resource.spec.channel_layer.expiry_seconds, managed_by=MANAGER)
    if resource.spec.redis.managed is not None:
        return HostList(1, shards, managed_by=MANAGER), ""
    found = await survey(shards, deployment_of(resource, secrets_directory))
    if found.troubles:
        raise StartError("\n".join(found.troubles.values()), "Nothing is started before every shard has answered.")
    newest = found.newest
    if newest is not None and newest.managed_by not in ("", MANAGER):
        news = f"the host list of epoch {newest.epoch} is made by {newest.managed_by}: it is used as it is"
        return HostList(0, shards, managed_by=newest.managed_by), news
    if newest is not None:
        _refuse_strangers(newest, shards, found, resource)
    step = next_step(wanted, Seen(None, stored=found.hosts))
    while isinstance(step, Mint):
        hosts = step.hosts
        step = next_step(wanted, Seen(hosts, stored=found.hosts))
    return hosts, "" if newest is None else f"the shards hold the host list of epoch {newest.epoch}: it goes on there"


def _refuse_strangers(newest: HostList, shards: tuple[Shard, ...], found: Survey, resource: RealtimeGateway) -> None:
    strange = {shard.name: shard for shard in strangers(newest, shards)}
    if not strange:
        return
    where = next(name for name, hosts in found.hosts.items() if hosts is newest)
    names = Names(resource.spec.channel_layer.prefix)
    raise StartError(
        f"Shard {where} holds the host list of epoch {newest.epoch}, with shards that spec.redis.external.hosts has "
        f"not: {', '.join(f'{name} ({describe(shard)})' for name, shard in strange.items())}.",
        "Name them there, and take them out again while it runs, so that nothing that they hold is lost. If they are "
        f"not yours, or nobody needs them, delete {names.hosts} and {names.epoch} on every shard.",
    )


class HostRoll:
    """Brings the host list to what the resource asks for, again and again.

    Args:
        present: what runs; the resource in it may change at any time.
    """

    def __init__(self, present: Present) -> None:
        self._present = present
        self._settled: tuple[int, float] | None = None  # the epoch that all use, and since when
        self._everywhere = present.state.hosts.epoch  # the epoch that was last seen in use by all
        self._said = ""

    async def roll(self) -> None:
        """Go on until cancelled; looks at nothing while nothing is to be changed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._is_at_rest():
                continue
            try:
                await self._step()
            except GatewayError as error:
                self._say(str(error))  # the next look sees what has become of it

    def _deployment(self, state: State) -> Deployment:
        return deployment_of(state.resource, self._present.place.secrets_directory)

    def _is_at_rest(self) -> bool:
        state = self._present.state
        if state.hosts.managed_by not in ("", MANAGER):
            return True
        done = same_shards(state.wanted, state.hosts.shards) and not state.hosts.earlier and not state.leaving
        return done and self._everywhere == state.hosts.epoch

    async def _step(self) -> None:
        state = self._present.state
        looked_at = {shard.name: shard for shard in (*state.wanted, *state.hosts.every_shard)}
        seen = await survey(looked_at.values(), self._deployment(state))
        newest = seen.newest
        if newest is not None and newest.epoch > state.hosts.epoch and newest.managed_by not in ("", MANAGER):
            self._say(f"the host list of epoch {newest.epoch} is made by {newest.managed_by}: this run makes none")
            return
        unready = await self._unready(state, seen)
        async with self._present.lock:
            if self._present.state is not state:
                return  # the file was edited meanwhile: what was seen is of the past
            wanted = Wanted(state.wanted, state.resource.spec.channel_layer.expiry_seconds, unready, MANAGER)
            await self._carry_out(next_step(wanted, self._seen(state.hosts, seen)), state)

    def _seen(self, hosts: HostList, found: Survey) -> Seen:
        epoch, since = self._settled or (0, 0.0)
        return Seen(
            durable=hosts,
            stored=found.hosts,
            unanswered=tuple(found.troubles),
            reports=found.reports,
            settled_seconds=time.monotonic() - since if epoch == hosts.epoch else 0.0,
        )

    async def _carry_out(self, step: Mint | Pending | Roll, state: State) -> None:
        if isinstance(step, Mint):
            self._present.write_hosts(step.hosts)
            what = "the earlier lists are retired" if step.why is Why.RETIRE else f"{len(step.hosts.shards)} shards"
            self._say(f"host list epoch {step.hosts.epoch}: {what}")
            return
        assert isinstance(step, Roll), "a run has a list from its start"
        if not step.settled:
            self._settled = None
        elif self._settled is None or self._settled[0] != state.hosts.epoch:
            self._settled = (state.hosts.epoch, time.monotonic())
        by_name = {shard.name: shard for shard in state.hosts.every_shard}
        for name in step.tell:
            await tell(by_name[name], state.hosts, self._deployment(state))
        if step.finished:
            self._everywhere = state.hosts.epoch
            ended = await self._present.end_unused()
            self._say(f"host list epoch {state.hosts.epoch} is in use everywhere" + _of_ended(ended))
        else:
            self._say(_waiting_for(step, state))

    async def _unready(self, state: State, found: Survey) -> tuple[str, ...]:
        """Wanted shards that may not join the list yet: without all their servers, their Sentinels, or an answer."""
        if state.resource.spec.redis.managed is None:
            return tuple(shard.name for shard in state.wanted if shard.name in found.troubles)
        listed = {shard.name for shard in state.hosts.shards}
        new = [shard.name for shard in state.wanted if shard.name not in listed]
        ready = await asyncio.gather(*(self._is_ready(name, state) for name in new))
        return tuple(name for name, is_ready in zip(new, ready, strict=True) if name in found.troubles or not is_ready)

    async def _is_ready(self, shard: str, state: State) -> bool:
        managed = state.resource.spec.redis.managed
        assert managed is not None
        group = self._present.group
        asked = {
            process.name: process.readiness
            for process in group.plan.processes
            if isinstance(process.readiness, RedisAnswers) and process.name.rpartition("-")[0] == shard
        }
        children = [group.children.get(name) for name in asked]
        if len(children) <= managed.replicas or any(c is None or c.state is not ChildState.READY for c in children):
            return False
        if not managed.replicas:
            return True
        primary_port = next(answers.port for answers in asked.values() if answers.primary_port is None)
        sentinels = group.plan.sentinel_ports
        quorum = len(sentinels) // 2 + 1
        await asyncio.gather(*(monitor(port, shard, primary_port, quorum, MONITOR_OPTIONS) for port in sentinels))
        complaints = await asyncio.gather(*(sentinel_complaint(port, shard, managed.replicas) for port in sentinels))
        return not any(complaints)

    def _say(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._present.group.say(line)


def _waiting_for(step: Roll, state: State) -> str:
    if step.unready:
        return f"waiting for {', '.join(step.unready)} to be ready before the next host list"
    if step.unreached:
        return f"{', '.join(step.unreached)} cannot be told of host list epoch {state.hosts.epoch} yet"
    behind = step.behind or ()
    if behind:
        more = [f"{len(behind) - SHOWN_PROCESSES} more"] if len(behind) > SHOWN_PROCESSES else []
        named = ", ".join([*behind[:SHOWN_PROCESSES], *more])
        return f"waiting for {named} to use host list epoch {state.hosts.epoch}"
    return f"all use host list epoch {state.hosts.epoch}; the earlier lists are retired in {step.expiry_seconds:g} s"


def _of_ended(shards: tuple[str, ...]) -> str:
    return f"; ended: {', '.join(shards)}" if shards else ""
