"""What is wrong with the certificates of Redis: the words for it in the condition Degraded. Decides nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from realtime_operator.objects import identity, redis_tls
from realtime_operator.plan import Finding, Verdict, some
from realtime_operator.snapshot import PATIENCE_SECONDS, Snapshot, Unknown
from realtime_operator.status import reasons
from realtime_operator.target import Target

LOOK_AGAIN_SECONDS = 5.0
_SHOWN = 2


def of_redis(target: Target, snapshot: Snapshot) -> Verdict:
    """The Secret that cannot be used, or the servers with which no encrypted connection can be made."""
    tls = redis_tls.wanted(target)
    if tls is None:
        return Verdict()
    name = identity.redis_tls_name(target)
    if snapshot.tls_trouble:
        keys = ", ".join(redis_tls.FILES)
        message = f"{snapshot.tls_trouble} It needs the keys {keys}, with a certificate for {name}."
        finding = Finding(reasons.DEGRADED, reasons.CERTIFICATES_UNUSABLE, message)
        return Verdict(findings=(finding,), look_again_seconds=LOOK_AGAIN_SECONDS)
    suspicions = dict(_suspicions(snapshot))
    verdict = Verdict(facts=frozenset(suspicions), look_again_seconds=LOOK_AGAIN_SECONDS if suspicions else None)
    refused = tuple(why for fact, why in suspicions.items() if snapshot.held(fact) >= PATIENCE_SECONDS)
    if not refused:
        return verdict
    remedy = f"Renew what is in Secret {tls.secret_name}, for {name} and by the authority in its ca.crt."
    message = f"No encrypted connection with {some(refused, _SHOWN)}. {remedy}"
    finding = Finding(reasons.DEGRADED, reasons.CERTIFICATE_REFUSED, message)
    return replace(verdict, findings=(finding,))


def _suspicions(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Who cannot be spoken with by TLS, as a fact, and why: one that ends while it is asked breaks TLS as well."""
    servers = [
        (f"{shard.name}-{member.ordinal}", member.server) for shard in snapshot.shards for member in shard.members
    ]
    sentinels = [(f"Sentinel {sentinel.ordinal}", sentinel.answers) for sentinel in snapshot.sentinels]
    for name, seen in (*servers, *sentinels):
        if isinstance(seen, Unknown) and seen.tls_failed:
            yield f"no encrypted connection with {name}", seen.why
