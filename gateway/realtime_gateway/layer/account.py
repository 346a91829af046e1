"""Who to log in as on shards of a host list that names nobody: such a list is handed around and holds no password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from realtime_gateway.environment import Environment
from realtime_gateway.layer.certificates import with_certificates


def with_account(connection: Mapping[str, Any], environment: Environment) -> Mapping[str, Any]:
    """Add the account that the environment names to an entry of ``hosts`` that has none of its own, and certificates.

    Sentinels get it as well. The password's file is read each time, since it may have been exchanged.
    """
    connection = with_certificates(connection, environment)
    file = environment.redis_password_file
    named = {"address", "username", "password"} & set(connection)
    if file is None or named:
        return connection
    account = {"username": environment.redis_username, "password": file.read_text().strip()}
    if "sentinels" not in connection:
        return {**connection, **account}
    return {**connection, **account, "sentinel_kwargs": {**account, **(connection.get("sentinel_kwargs") or {})}}
