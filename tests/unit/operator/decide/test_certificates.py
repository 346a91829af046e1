"""What is said of Redis's certificates."""

from __future__ import annotations

from dataclasses import replace

from tests.support.operator_scenes import AWAY, A, B, primary, scene
from tests.support.operator_targets import target

from realtime_operator.decide.certificates import LOOK_AGAIN_SECONDS, of_redis
from realtime_operator.plan import Verdict
from realtime_operator.snapshot import PATIENCE_SECONDS, Snapshot, Unknown
from realtime_operator.status import reasons

ENCRYPTED = target({"redis": {"managed": {"tls": {"secretName": "chat-redis-tls"}}}})
EXPIRED = Unknown(
    f"{B}: Error 1 connecting to it. [SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", tls_failed=True
)


def seen(*, server: Unknown, sentinel: Unknown | None = None) -> Snapshot:
    one = scene({A: primary(), B: server}, [A, sentinel])
    return Snapshot(shards=(one.shard,), sentinels=one.sentinels)


def test_without_tls_nothing_is_said() -> None:
    assert of_redis(target(), seen(server=EXPIRED)) == Verdict()


def test_a_secret_that_cannot_be_used_is_named_with_what_it_needs() -> None:
    verdict = of_redis(ENCRYPTED, Snapshot(tls_trouble="Secret chat-redis-tls does not exist."))
    (finding,) = verdict.findings
    assert (finding.type, finding.reason) == (reasons.DEGRADED, reasons.CERTIFICATES_UNUSABLE)
    assert finding.message == (
        "Secret chat-redis-tls does not exist. "
        "It needs the keys ca.crt, tls.crt, tls.key, with a certificate for chat-redis.talk.svc."
    )
    assert verdict.look_again_seconds == LOOK_AGAIN_SECONDS


def held(snapshot: Snapshot, seconds: float = PATIENCE_SECONDS) -> Snapshot:
    """The same after the facts that were noted have held for a while."""
    facts = of_redis(ENCRYPTED, snapshot).facts
    return replace(snapshot, held_seconds=dict.fromkeys(facts, seconds))


def test_servers_and_sentinels_whose_certificate_is_refused_are_named() -> None:
    by_server, by_sentinel = seen(server=EXPIRED), seen(server=AWAY, sentinel=EXPIRED)
    for snapshot in (by_server, by_sentinel):
        (finding,) = of_redis(ENCRYPTED, held(snapshot)).findings
        assert finding.reason == reasons.CERTIFICATE_REFUSED
        assert "certificate has expired" in finding.message
        assert "Renew what is in Secret chat-redis-tls, for chat-redis.talk.svc" in finding.message


def test_what_passes_by_itself_is_not_said_but_looked_at_again() -> None:
    verdict = of_redis(ENCRYPTED, held(seen(server=EXPIRED), PATIENCE_SECONDS - 1))
    assert verdict.findings == ()
    assert verdict.look_again_seconds == LOOK_AGAIN_SECONDS
    assert len(verdict.facts) == 1


def test_words_in_a_message_are_no_proof_of_it() -> None:
    named = Unknown(f"{A}: the Secret chat-SSL-certificate is mounted")
    assert of_redis(ENCRYPTED, seen(server=named)) == Verdict()


def test_who_is_only_away_is_no_matter_of_certificates() -> None:
    assert of_redis(ENCRYPTED, seen(server=AWAY)) == Verdict()
    assert of_redis(ENCRYPTED, replace(seen(server=AWAY), shards=())) == Verdict()
