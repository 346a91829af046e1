"""What the operator may do: the chart, the manifests and the API server's audit log keep to it."""

from __future__ import annotations

# To know what is there it lists and watches. Server-side apply of what may not exist yet needs both create and patch.
OWNED = {"list", "watch", "create", "patch", "delete"}

# (API group, resource) → verbs.
IN_SERVED_NAMESPACES: dict[tuple[str, str], set[str]] = {
    ("realtime-gateway.io", "realtimegateways"): {"list", "watch"},
    ("realtime-gateway.io", "realtimegateways/status"): {"patch"},  # status.report
    ("events.k8s.io", "events"): {"create", "list"},  # status.events, observe.event_notes
    ("", "configmaps"): OWNED,
    ("", "secrets"): OWNED,
    ("", "services"): OWNED,
    ("", "serviceaccounts"): OWNED,
    ("apps", "deployments"): OWNED,
    ("apps", "statefulsets"): OWNED,
    ("policy", "poddisruptionbudgets"): OWNED,
    ("networking.k8s.io", "ingresses"): OWNED,
    ("networking.k8s.io", "networkpolicies"): OWNED,
    ("gateway.networking.k8s.io", "httproutes"): OWNED,
    ("monitoring.coreos.com", "servicemonitors"): OWNED,
    ("", "pods"): {"list", "watch"},
    ("", "pods/eviction"): {"create"},  # decide.upgrade
}
# The Lease by which operators agree on who acts.
IN_ITS_OWN_NAMESPACE: dict[tuple[str, str], set[str]] = {("coordination.k8s.io", "leases"): {"get", "create", "update"}}
