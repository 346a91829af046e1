"""The files in which a process finds the secrets that a resource refers to, below one directory.

The names say what a secret is for, not which Secret it comes from: whoever runs the processes puts them there (the
operator by a mount, `up` by writing them), and a process asks for what it needs.
"""

from __future__ import annotations

import hashlib
import re

from realtime_gateway.resource.cluster import SecretKey
from realtime_gateway.resource.spec import GatewaySpec

JWT_KEY = "jwt-key"
ENCRYPTION_KEYS = "encryption-keys"
# A shard may be called anything; these names are those of a file as they are.
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def redis_password(shard: str) -> str:
    """Return the path of a shard's password below the directory."""
    name = shard if _PLAIN.fullmatch(shard) else hashlib.sha256(shard.encode()).hexdigest()
    return f"redis/{name}"


def secret_files(spec: GatewaySpec) -> dict[str, SecretKey]:
    """Return every secret that processes of a resource need: path below the directory → key of a Secret."""
    found: dict[str, SecretKey] = {}
    if spec.auth.jwt is not None and spec.auth.jwt.secret_ref is not None:
        found[JWT_KEY] = spec.auth.jwt.secret_ref
    if spec.channel_layer.encryption_keys_secret_ref is not None:
        found[ENCRYPTION_KEYS] = spec.channel_layer.encryption_keys_secret_ref
    for host in spec.redis.external.hosts if spec.redis.external else ():
        if host.password_secret_ref is not None:
            found[redis_password(host.name)] = host.password_secret_ref
    return found
