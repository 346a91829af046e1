"""The resource that a pass works for: what its author wrote, checked, and who it is in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from realtime_gateway.resource import GatewaySpec

API_GROUP = "realtime-gateway.io"
API_VERSION = f"{API_GROUP}/v1alpha1"
KIND = "RealtimeGateway"
PLURAL = "realtimegateways"
# The operator's name as a writer of fields, in events, and on everything that it makes.
FIELD_MANAGER = "realtime-gateway-operator"


@dataclass(frozen=True)
class Target:
    """One RealtimeGateway as the operator works for it.

    Attributes:
        uid: tells it apart from an earlier resource of the same name.
        spec: every default filled in.
        written: the spec as its author wrote it; processes get the part of it that is theirs. Left out of ``repr``: a
            URL in it may hold a password.
        default_image: the image for gateway and workers where the spec names none.
        operator_namespace: where the operator runs; network policies let it in from there.
        paused: whether an annotation asks the operator to leave everything as it is.
    """

    name: str
    namespace: str
    uid: str
    generation: int
    spec: GatewaySpec
    written: Mapping[str, Any] = field(repr=False)
    default_image: str
    operator_namespace: str
    paused: bool = False
