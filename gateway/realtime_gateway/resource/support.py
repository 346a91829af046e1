"""What works so far, and where: the one table to shrink as parts get built.

A path names a field below ``spec``, without the indices of lists. A field that is set to its default is never refused
or listed, since the API server writes the defaults into every object.
"""

from __future__ import annotations

# Refused by name when a resource sets them.
NOT_BUILT = frozenset(
    {
        "autoscaling",
        "workers.autoscaling",
    }
)

# Accepted, and ignored by whoever runs the resource as local processes.
KUBERNETES_ONLY = frozenset(
    {
        "image",
        "redis.managed.image",
        "redis.managed.storage",
        "redis.managed.tls",
        "redis.managed.resources",
        "redis.managed.podTemplate",
        "service",
        "ingress",
        "httpRoute",
        "telemetry.prometheus",
        "telemetry.serviceMonitorLabels",
        "telemetry.dashboards",
        "networkPolicy",
        "suspend",
        "deletionPolicy",
        "podTemplate",
    }
)
