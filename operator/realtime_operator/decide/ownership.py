"""The objects of a resource: made, set right, freed of what others added, and removed when nothing wants them."""

from __future__ import annotations

from realtime_gateway.hosts import HostList
from realtime_operator.decide.drift import covers, key_of, removal, stamped
from realtime_operator.decide.wanted import wanted_keys, wanted_objects
from realtime_operator.objects import accounts, identity
from realtime_operator.plan import Action, Apply, CreatePasswords, Delete, Finding, Verdict, some
from realtime_operator.snapshot import Fleet, Manifest, ObjectKey, Snapshot
from realtime_operator.status import reasons
from realtime_operator.target import Target

SHOWN_OBJECTS = 3


def passwords(target: Target, snapshot: Snapshot) -> Verdict:
    """Passwords are drawn once; a Secret that was deleted or edited comes back with the ones that servers know."""
    if target.spec.redis.managed is None and not target.spec.cache.enabled:
        return Verdict()
    seen = snapshot.objects.get(ObjectKey("Secret", identity.passwords_name(target)))
    lists = snapshot.objects.get(ObjectKey("Secret", identity.accounts_name(target)))
    known = accounts.passwords_in_use(target, seen, lists)
    if known is not None:
        return Verdict() if seen is not None and covers(seen, known) else Verdict((Apply(stamped(known)),))
    if seen is not None:
        return Verdict((Delete(key_of(seen), seen["metadata"]["uid"]),))
    return Verdict((CreatePasswords(accounts.new_passwords(target), accounts.USERS),))


def in_place(target: Target, snapshot: Snapshot) -> Verdict:
    """Every object that can be there is there, and is as it should be."""
    actions: list[Action] = []
    findings: list[Finding] = []
    provisioning: list[str] = []
    for manifest in wanted_objects(target, snapshot):
        key = key_of(manifest)
        wanted, seen = stamped(manifest), snapshot.objects.get(key)
        if seen is None or not covers(seen, wanted):
            actions.append(Apply(wanted))
        elif (patch := removal(seen)) is not None:
            actions.append(patch)
        if seen is None:
            provisioning.append(str(key))
    if provisioning:
        findings.append(
            Finding(reasons.PROGRESSING, reasons.PROVISIONING, f"Making {some(provisioning, SHOWN_OBJECTS)}.")
        )
    return Verdict(tuple(actions), tuple(findings))


def prune(target: Target, snapshot: Snapshot) -> Verdict:
    """Objects that nothing wants any more go. What holds data goes only when it is known that nobody uses it."""
    wanted = wanted_keys(target, snapshot)
    settled = _hosts_settled(target, snapshot)
    actions = tuple(
        Delete(key, seen["metadata"]["uid"])
        for key, seen in sorted(snapshot.objects.items())
        if key not in wanted and (settled or not _of_redis(seen)) and not seen["metadata"].get("deletionTimestamp")
    )
    return Verdict(actions)


def _hosts_settled(target: Target, snapshot: Snapshot) -> bool:
    """Whether every process is known to use the present list, so that what is not in it is not in use."""
    if target.spec.redis.managed is None:
        return True
    if not isinstance(snapshot.hosts, HostList) or not isinstance(snapshot.fleet, Fleet):
        return False
    return not snapshot.fleet.behind(snapshot.hosts.epoch)


def _of_redis(seen: Manifest) -> bool:
    component = seen["metadata"].get("labels", {}).get(identity.COMPONENT_LABEL)
    return component in {identity.REDIS, identity.SENTINEL}
