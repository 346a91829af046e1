"""Who to log in as on shards of a host list: such a list is handed around and holds no password."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from realtime_gateway.environment import Environment
from realtime_gateway.hosts import Shard
from realtime_gateway.layer.certificates import with_certificates
from realtime_gateway.resource.secret_files import redis_password
from realtime_gateway.secret_file import SecretFile


def with_account(shard: Shard, environment: Environment) -> Mapping[str, Any]:
    """Return a shard's entry of ``hosts`` with the account and the certificates that the environment names for it.

    A password of the shard's own comes first, then the account for all shards that name nobody. A file is looked at
    each time, since its password may have been exchanged.

    Raises:
        ConfigurationError: the password's file cannot be used, and could not be before.
    """
    connection = with_certificates(shard.connection, environment)
    if "password" in connection:
        return connection
    if environment.secrets_directory is not None:
        file = environment.secrets_directory / redis_password(shard.name)
        if file in _KNOWN or file.exists():
            return _with_own(connection, _password(file))
    named = {"address", "username"} & set(connection)
    if environment.redis_password_file is None or named:
        return connection
    account = {"username": environment.redis_username, "password": _password(environment.redis_password_file)}
    return _for_sentinels({**connection, **account}, account)


def _with_own(connection: Mapping[str, Any], password: str) -> Mapping[str, Any]:
    # A user of the shard's is none of its Sentinels'. Whoever logs in there as the default user is let in where they
    # have this password, and where they have none.
    return _for_sentinels({**connection, "password": password}, {"username": "default", "password": password})


def _for_sentinels(connection: dict[str, Any], account: Mapping[str, Any]) -> Mapping[str, Any]:
    if "sentinels" not in connection:
        return connection
    return {**connection, "sentinel_kwargs": {**account, **(connection.get("sentinel_kwargs") or {})}}


# Files that have been read: one of them that is gone for now has a password that is still in use.
_KNOWN: set[Path] = set()


def _password(path: Path) -> str:
    password = _file(path).look()
    _KNOWN.add(path)
    return password


@cache
def _file(path: Path) -> SecretFile[str]:
    return SecretFile(path, "the Redis password", str)
