"""Rules that hold between fields: each in Python for the parser and in CEL for the Kubernetes API server, side by side.

A rule that compares with the object before a change exists in CEL only. The API server also holds a section's default
``{}`` against its rules before it fills in what is inside, so a rule must allow for fields that are not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from realtime_gateway.resource.spec import (
    Auth,
    Autoscaling,
    ExternalHost,
    GatewaySpec,
    Jwt,
    ManagedRedis,
    Redis,
    WorkerAutoscaling,
)


@dataclass(frozen=True)
class Rule:
    """A rule of one section.

    Attributes:
        section: the class of the section that must keep it.
        message: what must hold, as a sentence that needs nothing before it.
        cel: the same for the API server; ``self`` is the section.
        holds: tells whether a section keeps it; None for a rule about changes.
    """

    section: type
    message: str
    cel: str
    holds: Callable[[Any], bool] | None = None


def _one_place(host: ExternalHost) -> bool:
    return [host.url is not None, host.host is not None, bool(host.sentinels)].count(True) == 1


RULES = (
    Rule(
        Redis,
        "set exactly one of managed and external",
        "has(self.managed) != has(self.external)",
        lambda redis: (redis.managed is None) != (redis.external is None),
    ),
    Rule(
        Redis,
        "managed and external cannot be exchanged: make a new resource",
        "has(self.managed) == has(oldSelf.managed)",
    ),
    Rule(
        ManagedRedis,
        "sentinels must be an odd number",
        "!has(self.sentinels) || self.sentinels % 2 == 1",
        lambda managed: managed.sentinels % 2 == 1,
    ),
    Rule(
        ManagedRedis,
        "storage cannot be changed: make a new resource",
        "has(self.storage) == has(oldSelf.storage) && (!has(self.storage) || self.storage == oldSelf.storage)",
    ),
    Rule(
        ManagedRedis,
        "tls cannot be changed: make a new resource, or renew what is in its Secret",
        "has(self.tls) == has(oldSelf.tls) && (!has(self.tls) || self.tls == oldSelf.tls)",
    ),
    Rule(
        ExternalHost,
        "set exactly one of url, host and sentinels",
        "[has(self.url), has(self.host), has(self.sentinels) && size(self.sentinels) > 0].filter(x, x).size() == 1",
        _one_place,
    ),
    Rule(
        ExternalHost,
        "set masterName together with sentinels, and only then",
        "has(self.masterName) == (has(self.sentinels) && size(self.sentinels) > 0)",
        lambda host: (host.master_name is not None) == bool(host.sentinels),
    ),
    Rule(
        ExternalHost,
        "write the database number into the url, in place of db",
        "!has(self.url) || self.db == 0",
        lambda host: host.url is None or host.db == 0,
    ),
    Rule(
        Autoscaling,
        "minReplicas must not be above maxReplicas",
        "self.minReplicas <= self.maxReplicas",
        lambda scaling: scaling.min_replicas <= scaling.max_replicas,
    ),
    Rule(
        WorkerAutoscaling,
        "minReplicas must not be above maxReplicas",
        "self.minReplicas <= self.maxReplicas",
        lambda scaling: scaling.min_replicas <= scaling.max_replicas,
    ),
    Rule(
        Jwt,
        "set exactly one of jwksUrl and secretRef",
        "has(self.jwksUrl) != has(self.secretRef)",
        lambda jwt: (jwt.jwks_url is None) != (jwt.secret_ref is None),
    ),
    Rule(
        Auth,
        "set jwt together with stack: jwt, and only then",
        "(has(self.stack) && self.stack == 'jwt') == has(self.jwt)",
        lambda auth: (auth.stack == "jwt") == (auth.jwt is not None),
    ),
    Rule(
        GatewaySpec,
        "set at most one of ingress and httpRoute",
        "!(has(self.ingress) && has(self.httpRoute))",
        lambda spec: spec.ingress is None or spec.http_route is None,
    ),
)


def rules_of(section: type) -> tuple[Rule, ...]:
    """Return the rules that a section of this class must keep."""
    return tuple(rule for rule in RULES if rule.section is section)
