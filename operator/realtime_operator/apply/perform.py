"""A plan carried out: each action by the function for its type, in order, and how each ended."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from realtime_operator import recording, tracing
from realtime_operator.apply import host_epochs, redis_commands, server_side_apply
from realtime_operator.apply.backoff import Backoff
from realtime_operator.kube.client import KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.objects import identity
from realtime_operator.observe.object_cache import ObjectCache, owner_of
from realtime_operator.observe.redis_servers import RedisServers
from realtime_operator.plan import (
    Action,
    AnnounceHosts,
    Apply,
    CreatePasswords,
    Delete,
    Evict,
    Follow,
    Forget,
    MintHosts,
    Monitor,
    Outcome,
    Promote,
    RemoveForeign,
    SwitchOver,
)
from realtime_operator.snapshot import ObjectKey
from realtime_operator.status import reasons
from realtime_operator.target import Target

PASSWORD_BYTES = 24


class NotLeading(Exception):
    """Somebody else leads now, so nothing may be written any more."""


@dataclass(frozen=True)
class Means:
    """What performing needs.

    Attributes:
        may_write: asked before every action; a leader that cannot be sure of it any more stops in the middle.
        sentinel_password: of the account that Sentinels use on servers.
    """

    client: KubeClient
    cache: ObjectCache
    servers: RedisServers
    backoff: Backoff
    may_write: Callable[[], bool]
    sentinel_password: Callable[[], str]


async def perform(
    target: Target, actions: Sequence[Action], means: Means, clock: Callable[[], float]
) -> tuple[Outcome, ...]:
    """Carry out actions in order. One that fails does not keep those after it, which stand for themselves.

    Raises:
        NotLeading: the lead was lost in between.
    """
    outcomes = []
    for action in actions:
        if not means.may_write():
            raise NotLeading
        outcome = means.backoff.standing(action, clock())
        if outcome is None:
            outcome = await _traced(target, action, means)
            recording.acted(action, outcome.done)
        outcomes.append(outcome)
    means.backoff.note(outcomes, clock())
    return tuple(outcomes)


async def _traced(target: Target, action: Action, means: Means) -> Outcome:
    name, announced_by = type(action).__name__, _announced_by(target, action, means)
    with tracing.step(name, _about(action), announced_by) as span:
        outcome = await _one(target, action, means)
        span.note(tracing.OUTCOME, "done" if outcome.done else "refused")
        if not outcome.done:
            span.failed(outcome.reason, outcome.message)
    return outcome


def _about(action: Action) -> dict[str, str | int]:
    about: dict[str, str | int] = {}
    match action:
        case Apply() | Delete() | RemoveForeign():
            about[tracing.OBJECT] = str(action.key)
        case CreatePasswords(manifest):
            about[tracing.OBJECT] = f"Secret {manifest['metadata']['name']}"
        case Evict(pod):
            about[tracing.OBJECT] = f"Pod {pod}"
        case MintHosts(hosts, manifest):
            about |= {tracing.OBJECT: f"ConfigMap {manifest['metadata']['name']}", tracing.EPOCH: hosts.epoch}
        case AnnounceHosts(hosts, shard):
            about |= {tracing.SHARD: shard, tracing.EPOCH: hosts.epoch}
        case Promote(shard) | Follow(shard) | Monitor(shard) | SwitchOver(shard):
            about[tracing.SHARD] = shard
        case Forget():
            about[tracing.OBJECT] = f"Sentinel {action.sentinel}"
    return about


def _announced_by(target: Target, action: Action, means: Means) -> str:
    """The span in which the host list was made that an action brings to the shards."""
    if not isinstance(action, AnnounceHosts):
        return ""
    made = means.cache.get(target.namespace, ObjectKey("ConfigMap", identity.hosts_name(target))) or {}
    return str(made.get("metadata", {}).get("annotations", {}).get(tracing.ANNOTATION, ""))


async def _one(target: Target, action: Action, means: Means) -> Outcome:
    try:
        await (_in_redis(target, action, means) if isinstance(action, _REDIS) else _in_cluster(target, action, means))
    except KubeError as error:
        return _refused(action, error)
    except server_side_apply.NameTaken as error:
        # Whoever takes the other object away changes nothing that is watched: it is tried again, later each time.
        return Outcome(action, reasons.NAME_TAKEN, str(error))
    except redis_commands.SwitchoverFailed as error:
        return Outcome(action, reasons.SWITCHOVER_FAILED, error.message)
    except redis_commands.FAILURES as error:
        return Outcome(
            action, reasons.REDIS_UNAVAILABLE, f"{type(action).__name__}: {str(error) or type(error).__name__}"
        )
    return Outcome(action)


_REDIS = (AnnounceHosts, Promote, Follow, Monitor, Forget, SwitchOver)


async def _in_redis(target: Target, action: Action, means: Means) -> None:
    servers = means.servers
    match action:
        case Promote():
            await redis_commands.promote(servers, action)
        case Follow():
            await redis_commands.follow(servers, action)
        case Monitor():
            await redis_commands.monitor(servers, action, means.sentinel_password())
        case Forget():
            await redis_commands.forget(servers, action)
        case SwitchOver():
            await redis_commands.switch_over(servers, action)
        case AnnounceHosts():
            await host_epochs.announce(servers, action, target.spec.channel_layer.prefix)


async def _in_cluster(target: Target, action: Action, means: Means) -> None:
    client, cache, namespace = means.client, means.cache, target.namespace
    match action:
        case Apply():
            seen = cache.get(namespace, action.key)
            # Another resource's object may have the name: "chat-redis" of chat's Redis, or of one that is called so.
            known = seen is not None and owner_of(seen).get("uid") == target.uid
            cache.put(await server_side_apply.apply(client, action, known=known))
        case CreatePasswords():
            made = await server_side_apply.create_passwords(client, action, _new_password)
            cache.put(made)
        case RemoveForeign():
            cache.put(await server_side_apply.remove_foreign(client, action, namespace))
        case MintHosts():
            cache.put(await host_epochs.mint(client, action))
        case Delete(key, uid):
            await client.delete(key, namespace, uid)
        case Evict(pod, uid):
            await client.evict(pod, namespace, uid)


def _new_password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)


def _refused(action: Action, error: KubeError) -> Outcome:
    refusal = error.refusal
    if refusal.kind == "gone" and isinstance(action, Delete | Evict):
        return Outcome(action)
    if refusal.kind == "exists" and isinstance(action, CreatePasswords):
        return Outcome(action)
    if refusal.kind == "conflict" and not error.owners:
        # Somebody wrote in between: the watch brings what, and the next pass decides anew.
        return Outcome(action, reasons.API_UNAVAILABLE, error.message)
    if refusal.kind == "unserved" and isinstance(action, Apply):
        return Outcome(action, reasons.NOT_SERVED, _not_served(action))
    reason = _REASONS[refusal.kind]
    return Outcome(action, reason, f"{_what(action)}: {error.message}", permanent=refusal.permanent)


_REASONS = {
    "forbidden": reasons.FORBIDDEN,
    "quota": reasons.QUOTA_EXCEEDED,
    "conflict": reasons.FIELD_CONFLICT,
    "exists": reasons.API_UNAVAILABLE,
    "immutable": reasons.STORAGE_IMMUTABLE,
    "rejected": reasons.REJECTED,
    "gone": reasons.API_UNAVAILABLE,
    "unserved": reasons.NOT_SERVED,
    "unavailable": reasons.API_UNAVAILABLE,
}


def _not_served(action: Apply) -> str:
    known = f"{action.key.kind} of {action.manifest['apiVersion']}"
    return f"This cluster does not know {known}: install what defines it, or leave it out of the spec."


def _what(action: Action) -> str:
    key = getattr(action, "key", None)
    return f"{type(action).__name__} {key}" if key is not None else repr(action)
