"""The Secrets of a site that its gateway and worker pods see: one volume with a file for each, never an environment.

The kubelet alone reads what is in them, and replaces all files at once when a Secret changes.
"""

from __future__ import annotations

from typing import Any

from realtime_gateway.resource.cluster import SecretKey
from realtime_gateway.resource.secret_files import secret_files
from realtime_operator.objects import pods
from realtime_operator.target import Target

VOLUME = "secrets"
DIRECTORY = "/etc/realtime-gateway/secrets"


def wanted(target: Target) -> dict[str, SecretKey]:
    """Every key of a Secret that the processes need, by the file that they find it in."""
    return secret_files(target.spec)


def env(target: Target) -> list[dict[str, Any]]:
    """Where a process finds them."""
    return [{"name": "REALTIME_GATEWAY_SECRETS", "value": DIRECTORY}] if wanted(target) else []


def volumes(target: Target) -> tuple[dict[str, Any], ...]:
    """The volume; a Secret or a key that is not there keeps a pod from starting."""
    sources = [
        {"secret": {"name": ref.name, "items": [{"key": ref.key, "path": path}]}}
        for path, ref in sorted(wanted(target).items())
    ]
    # The image's user is not known, so there is no group to give the files to.
    return ({"name": VOLUME, "projected": {"defaultMode": 0o444, "sources": sources}},) if sources else ()


def mounts(target: Target) -> list[dict[str, Any]]:
    """Where a container sees it."""
    return [pods.mount(VOLUME, DIRECTORY)] if wanted(target) else []
