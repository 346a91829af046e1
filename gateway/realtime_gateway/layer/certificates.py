"""By which certificates shards of a host list are spoken to: such a list is handed around, and holds no paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from realtime_gateway.environment import Environment

FILES = {"ssl_ca_certs": "ca.crt", "ssl_certfile": "tls.crt", "ssl_keyfile": "tls.key"}
_SAYS_ITSELF = {"address", "path", "unix_socket_path", "ssl"}


def with_certificates(connection: Mapping[str, Any], environment: Environment) -> Mapping[str, Any]:
    """Add TLS by the environment's directory to an entry of ``hosts`` that does not say itself how it is spoken to.

    Sentinels get it as well. Whoever connects reads the files, each time, since they may have been renewed.
    """
    directory = environment.redis_tls_directory
    if directory is None or _SAYS_ITSELF & set(connection):
        return connection
    tls: dict[str, Any] = {"ssl": True, "ssl_check_hostname": True}
    if environment.redis_tls_name is not None:
        tls["ssl_server_name"] = environment.redis_tls_name
    tls |= {option: str(directory / file) for option, file in FILES.items()}
    if "sentinels" not in connection:
        return {**connection, **tls}
    return {**connection, **tls, "sentinel_kwargs": {**tls, **(connection.get("sentinel_kwargs") or {})}}
