"""Specs that are right and wrong: one table for the parser and for the API server, which must agree on each.

tests/unit/gateway/resource/test_parsing.py runs it through the one, tests/cluster/test_operator_refusals.py through the
other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """A spec that cannot be used.

    Attributes:
        spec: beside `application: chat.asgi:application`.
        problem: what the parser says, which begins with the field.
        named: how the API server names the field; as the parser does where nothing is said.
        built: whether what is asked for is built. What is not yet, the API server stores and the operator refuses.
    """

    spec: Spec
    problem: str
    named: str = ""
    built: bool = True

    @property
    def field(self) -> str:
        """What the API server's answer must name."""
        return self.named or self.problem.partition(": ")[0]


ACCEPTED: dict[str, Spec] = {
    "nothing but what must be there": {},
    "every size by its unit": {"websocket": {"maxMessageSize": "64Ki"}, "redis": {"managed": {"maxMemory": "1Gi"}}},
    "a size as a number": {"websocket": {"maxMessageSize": 65536}},
    "a fraction where one is meant": {"drain": {"jitter": 0.5}},
    "bounds are included": {"replicas": 0, "drain": {"acceptSeconds": 300, "periodSeconds": 3600}},
    "shards of its own": {
        "redis": {"managed": {"shards": 64, "replicas": 0, "sentinels": 5, "storage": {"size": "1Gi"}}}
    },
    "shards of somebody else, in each form": {
        "redis": {
            "external": {
                "hosts": [
                    {"name": "a", "url": "rediss://user@redis.example.com:6380/1"},
                    {"name": "v6", "url": "redis://:p:w@[::1]:65535/1?ssl=no"},
                    {"name": "socket", "url": "unix:///run/redis.sock"},
                    {"name": "b", "host": "10.0.0.1", "port": 6380, "db": 2, "weight": 3},
                    {"name": "c", "sentinels": [{"host": "s1"}, {"host": "s2", "port": 26380}], "masterName": "m"},
                ]
            }
        }
    },
    "two workers": {
        "workers": [{"name": "a", "channels": ["b", "c"]}, {"name": "d", "channels": ["e"], "replicas": 2}]
    },
    "an ingress": {
        "ingress": {"className": "nginx", "host": "chat.example.com", "tlsSecretName": "tls", "preset": "nginx"}
    },
    "a route": {
        "httpRoute": {"parentRefs": [{"name": "edge", "namespace": "infra"}], "hostnames": ["chat.example.com"]}
    },
    "what is added to pods": {
        "podTemplate": {
            "labels": {"team": "chat"},
            "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
            "env": [{"name": "A", "value": "b"}],
        }
    },
}

REFUSED: dict[str, Refused] = {
    "a typo is answered with the nearest field": Refused(
        {"websocket": {"maxConection": 5}}, "spec.websocket.maxConection: unknown field; did you mean maxConnections?"
    ),
    "a name in snake case is answered with the one in camel case": Refused(
        {"settings_module": "a"}, "spec.settings_module: unknown field; did you mean settingsModule?"
    ),
    "a field like no other is answered with those there are": Refused(
        {"cache": {"zzz": 1}}, "spec.cache.zzz: unknown field; known here: enabled, maxMemory"
    ),
    "text is not a number": Refused(
        {"replicas": "three"}, 'spec.replicas: expected a whole number from 0 to 1000, not "three"'
    ),
    "a number in quotes is not a number": Refused(
        {"replicas": "3"}, 'spec.replicas: expected a whole number from 0 to 1000, not "3"'
    ),
    "true is not a number": Refused(
        {"replicas": True}, "spec.replicas: expected a whole number from 0 to 1000, not true"
    ),
    "a fraction is not a whole number": Refused(
        {"replicas": 1.5}, "spec.replicas: expected a whole number from 0 to 1000, not 1.5"
    ),
    "a number below its bound is refused": Refused(
        {"replicas": -1}, "spec.replicas: expected a whole number from 0 to 1000, not -1"
    ),
    "a size has a known unit": Refused(
        {"websocket": {"maxMessageSize": "1MB"}},
        'spec.websocket.maxMessageSize: expected a size in bytes such as 1Mi, from 1 to 1Gi, not "1MB"',
    ),
    "seconds have no unit": Refused(
        {"drain": {"periodSeconds": "30s"}},
        'spec.drain.periodSeconds: expected a whole number from 0 to 3600, not "30s"',
    ),
    "a section is an object": Refused({"drain": 30}, "spec.drain: expected an object, not 30"),
    "a list is not an object": Refused({"workers": {"name": "a"}}, "spec.workers: expected a list, not an object"),
    "text is not a truth value": Refused(
        {"cache": {"enabled": "yes"}}, 'spec.cache.enabled: expected true or false, not "yes"'
    ),
    "a truth value is not text": Refused(
        {"settingsModule": True},
        "spec.settingsModule: expected a Python module such as chat.settings, not true; put it in quotes",
    ),
    "one of several": Refused(
        {"deletionPolicy": "Keep"}, 'spec.deletionPolicy: expected one of Delete, Retain, not "Keep"'
    ),
    "an application without an attribute": Refused(
        {"application": "chat.asgi"},
        'spec.application: expected module:attribute, such as chat.asgi:application, not "chat.asgi"',
    ),
    "an empty application": Refused(
        {"application": ""}, 'spec.application: expected module:attribute, such as chat.asgi:application, not ""'
    ),
    "a line break at the end": Refused(
        {"application": "a:b\n"},
        'spec.application: expected module:attribute, such as chat.asgi:application, not "a:b\\n"',
    ),
    "Sentinels are odd": Refused(
        {"redis": {"managed": {"sentinels": 4}}}, "spec.redis.managed: sentinels must be an odd number"
    ),
    "Sentinels are three at least": Refused(
        {"redis": {"managed": {"sentinels": 1}}},
        "spec.redis.managed.sentinels: expected a whole number from 3 to 9, not 1",
    ),
    "neither managed nor external": Refused({"redis": {}}, "spec.redis: set exactly one of managed and external"),
    "both managed and external": Refused(
        {"redis": {"managed": {}, "external": {"hosts": [{"name": "a", "host": "h"}]}}},
        "spec.redis: set exactly one of managed and external",
    ),
    "two shards with one name": Refused(
        {"redis": {"external": {"hosts": [{"name": "a", "host": "g"}, {"name": "a", "host": "h"}]}}},
        'spec.redis.external.hosts[1].name: "a" stands twice in this list',
        named="spec.redis.external.hosts[1]",
    ),
    "a shard whose name has a colon": Refused(
        {"redis": {"external": {"hosts": [{"name": "eu:0", "host": "h"}]}}},
        'spec.redis.external.hosts[0].name: expected a line of text without a colon, not "eu:0"',
    ),
    "a shard whose port is none": Refused(
        {"redis": {"external": {"hosts": [{"name": "a", "url": "redis://h:port"}]}}},
        "spec.redis.external.hosts[0].url: expected a URL such as redis://redis-0.example.com:6379/0",
    ),
    "a shard whose port is too high": Refused(
        {"redis": {"external": {"hosts": [{"name": "a", "url": "redis://h:65536/1"}]}}},
        "spec.redis.external.hosts[0].url: expected a URL such as redis://redis-0.example.com:6379/0",
    ),
    "a shard without an address": Refused(
        {"redis": {"external": {"hosts": [{"name": "a"}]}}},
        "spec.redis.external.hosts[0]: set exactly one of url, host and sentinels",
    ),
    "Sentinels without a name to ask for": Refused(
        {"redis": {"external": {"hosts": [{"name": "a", "sentinels": [{"host": "h"}]}]}}},
        "spec.redis.external.hosts[0]: set masterName together with sentinels, and only then",
    ),
    "no shard at all": Refused(
        {"redis": {"external": {"hosts": []}}}, "spec.redis.external.hosts: expected 1 to 64 entries, not 0"
    ),
    "two workers with one name": Refused(
        {"workers": [{"name": "a", "channels": ["b"]}, {"name": "a", "channels": ["c"]}]},
        'spec.workers[1].name: "a" stands twice in this list',
        named="spec.workers[1]",
    ),
    "a channel twice": Refused(
        {"workers": [{"name": "a", "channels": ["b", "b"]}]},
        'spec.workers[0].channels[1]: "b" stands twice in this list',
    ),
    "a worker without channels": Refused(
        {"workers": [{"name": "a"}]}, "spec.workers[0].channels: missing. The channels that it consumes."
    ),
    "an entry of the wrong kind": Refused({"workers": ["a"]}, 'spec.workers[0]: expected an object, not "a"'),
    "both ingress and route": Refused(
        {"ingress": {"host": "h"}, "httpRoute": {"parentRefs": [{"name": "g"}]}},
        "spec: set at most one of ingress and httpRoute",
    ),
    "a label that is no text": Refused(
        {"podTemplate": {"labels": {"a": 1}}},
        "spec.podTemplate.labels.a: expected a label's value, not 1; put it in quotes",
    ),
    "a quantity that is none": Refused(
        {"podTemplate": {"resources": {"requests": {"cpu": "a lot"}}}},
        'spec.podTemplate.resources.requests.cpu: expected a quantity such as 500m or 256Mi, not "a lot"',
    ),
    "a quantity that is no text": Refused(
        {"podTemplate": {"resources": {"limits": {"memory": [1]}}}},
        "spec.podTemplate.resources.limits.memory: expected a quantity such as 500m or 256Mi, not a list",
    ),
    "a field whose name would break the line is quoted": Refused(
        {"cache": {"a\nb": 1}},
        'spec.cache["a\\nb"]: unknown field; known here: enabled, maxMemory',
        named="spec.cache.a",
    ),
    "a part that is not built": Refused(
        {"autoscaling": {"maxReplicas": 5}}, "spec.autoscaling: not built yet; leave it out", built=False
    ),
    "a policy that is none": Refused(
        {"security": {"limits": {"perUser": {"messages": {"perSecond": 5, "policy": "ban"}}}}},
        'spec.security.limits.perUser.messages.policy: expected one of drop, delay, close, not "ban"',
    ),
    "a rate of nothing": Refused(
        {"security": {"limits": {"perConnection": {"bytes": {"perSecond": 0}}}}},
        "spec.security.limits.perConnection.bytes.perSecond: expected a size in bytes such as 1Mi, "
        "from 1 to 1Gi, not 0",
    ),
    "a part of an entry that is not built": Refused(
        {"workers": [{"name": "a", "channels": ["b"], "autoscaling": {"maxReplicas": 5}}]},
        "spec.workers[0].autoscaling: not built yet; leave it out",
        built=False,
    ),
}
