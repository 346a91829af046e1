"""PodDisruptionBudgets: of each kind of pod, one at a time may be taken away on purpose."""

from __future__ import annotations

from typing import Any

from realtime_operator.objects import identity
from realtime_operator.target import Target


def budget(target: Target, name: str, component: str, **more: str) -> dict[str, Any]:
    """A budget of one for the pods of one component."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": identity.metadata(target, name, component, **more),
        "spec": {
            "maxUnavailable": 1,
            # A pod that was never ready has nothing to lose, and must not block the drain of a node.
            "unhealthyPodEvictionPolicy": "AlwaysAllow" if component == identity.GATEWAY else "IfHealthyBudget",
            "selector": {"matchLabels": identity.selector(target, component, **more)},
        },
    }
