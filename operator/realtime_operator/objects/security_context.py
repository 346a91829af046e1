"""What every pod and container gives up: exactly what the restricted Pod Security Standard asks for."""

from __future__ import annotations

from typing import Any

# The user and group of Redis in the official image.
REDIS_USER = 999


def for_pod(user: int | None = None) -> dict[str, Any]:
    """A pod's security context; without a user the image's own, which must be a number other than 0."""
    context: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return context if user is None else {**context, "runAsUser": user, "runAsGroup": user, "fsGroup": user}


def for_container(*, read_only_root: bool) -> dict[str, Any]:
    """A container's security context."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": read_only_root,
    }
