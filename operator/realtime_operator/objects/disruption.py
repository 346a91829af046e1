"""PodDisruptionBudgets: of each kind of pod, one at a time may be taken away on purpose."""

from __future__ import annotations

from typing import Any

from realtime_operator.objects import identity
from realtime_operator.target import Target


def budget(target: Target, name: str, component: str, *, crashing: bool = False, **more: str) -> dict[str, Any]:
    """A budget of one for the pods of one component.

    A gateway pod that is not ready has nothing to lose, and must not block the drain of a node. A Redis server that is
    not ready may hold the only copy of something, unless it is ``crashing``: then it could never be replaced.
    """
    unready_may_go = crashing or component == identity.GATEWAY
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": identity.metadata(target, name, component, **more),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow" if unready_may_go else "IfHealthyBudget",
            "selector": {"matchLabels": identity.selector(target, component, **more)},
        },
    }
