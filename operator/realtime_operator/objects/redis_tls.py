"""Redis by TLS: settings of servers and Sentinels, and the Secret in the pods that speak with them.

Servers and Sentinels listen by TLS only and ask every client for a certificate; one certificate is everybody's. Probes
ask through a socket in the pod, so that a certificate that has expired takes no server away that still has connections.
"""

from __future__ import annotations

from typing import Any

from realtime_gateway.resource.shards import ManagedRedis, Tls
from realtime_operator.objects import pods
from realtime_operator.target import Target

FILES = ("ca.crt", "tls.crt", "tls.key")
DIRECTORY = "/tls"
SOCKET_DIRECTORY = "/run/redis"
SOCKET, SENTINEL_SOCKET = f"{SOCKET_DIRECTORY}/redis.sock", "/data/sentinel.sock"
_VOLUME = "tls"


def wanted(target: Target) -> Tls | None:
    """The resource's TLS; None where connections are plain."""
    managed = target.spec.redis.managed
    return None if managed is None else managed.tls


def listening(tls: Tls | None, port: int, socket: str) -> list[tuple[str, object]]:
    """The settings that say where a server or a Sentinel listens."""
    if tls is None:
        return [("port", port)]
    return [
        ("port", 0),
        ("tls-port", port),
        # Also of Sentinels, when they speak with one another and with servers.
        ("tls-replication", "yes"),
        ("tls-auth-clients", "yes"),
        ("tls-ca-cert-file", f"{DIRECTORY}/ca.crt"),
        ("tls-cert-file", f"{DIRECTORY}/tls.crt"),
        ("tls-key-file", f"{DIRECTORY}/tls.key"),
        ("unixsocket", socket),
        ("unixsocketperm", 700),
    ]


def volumes(tls: Tls | None, *, mode: int = 0o440) -> list[dict[str, Any]]:
    """The Secret, whose files Kubernetes replaces when it is renewed."""
    return [] if tls is None else [pods.secret_volume(_VOLUME, tls.secret_name, FILES, mode=mode)]


def mounts(tls: Tls | None, directory: str = DIRECTORY) -> list[dict[str, Any]]:
    """Where a container sees it."""
    return [] if tls is None else [pods.mount(_VOLUME, directory)]


def script_env(redis: ManagedRedis, socket: str) -> list[dict[str, Any]]:
    """What the scripts in Redis and Sentinel pods read."""
    if redis.tls is None:
        return []
    options = f"--tls --cacert {DIRECTORY}/ca.crt --cert {DIRECTORY}/tls.crt --key {DIRECTORY}/tls.key"
    return [{"name": "SOCKET", "value": socket}, {"name": "TLS_OPTIONS", "value": options}]
