"""Encrypted connections that trust whom they are told to, and nobody beside.

redis-py adds the authority that it is given to those of the system, each of which could then vouch for a stranger, and
it compares a certificate with the address that is dialled, which is a number wherever Sentinel names it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError


class EncryptedConnection(SSLConnection):
    """redis-py's connection by TLS, with its own arguments and one more.

    Args:
        ssl_server_name: the name that the server's certificate must have, whatever address is dialled.
        arguments: redis-py's. With ``ssl_ca_certs``, ``ssl_ca_path`` or ``ssl_ca_data`` only that authority is trusted.
    """

    def __init__(self, ssl_server_name: str | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._server_name = ssl_server_name

    def _connection_arguments(self) -> Mapping[str, Any]:
        given = self.ssl_context
        if given.context is None and (given.ca_certs or _ca_path(given) or given.ca_data):
            # What redis-py has not made itself it takes from here. The files are read at each connection, so that a
            # renewed certificate is the next connection's.
            given.context = _trusting(given)
        arguments = dict(super()._connection_arguments())
        if self._server_name is not None:
            arguments["server_hostname"] = self._server_name
        return arguments


def chosen_class(entry: dict[str, Any]) -> type[AbstractConnection]:
    """Take out of a connection's arguments what says by which class to connect, and return that class."""
    encrypted = entry.pop("ssl", False)
    chosen: type[AbstractConnection] = entry.pop("connection_class", SSLConnection if encrypted else Connection)
    return EncryptedConnection if chosen is SSLConnection else chosen


def _ca_path(given: Any) -> str | None:
    path: str | None = getattr(given, "ca_path", None)  # redis-py 5 knows it in its synchronous half only
    return path


def _trusting(given: Any) -> ssl.SSLContext:
    """Return the context that redis-py would make, without the system's authorities.

    Raises:
        redis.exceptions.ConnectionError: a file is missing, or is no certificate or key.
    """
    files = [name for name in (given.ca_certs, _ca_path(given), given.certfile, given.keyfile) if name]
    try:
        context = ssl.create_default_context(cafile=given.ca_certs, capath=_ca_path(given), cadata=given.ca_data)
        if given.certfile or given.keyfile:
            context.load_cert_chain(given.certfile, given.keyfile, getattr(given, "password", None))
    except (OSError, TypeError, ValueError) as error:
        raise RedisConnectionError(f"certificates cannot be read ({', '.join(files)}): {error}") from error
    context.check_hostname = given.check_hostname and given.cert_reqs != ssl.CERT_NONE
    context.verify_mode = given.cert_reqs
    for flag in getattr(given, "include_verify_flags", None) or ():
        context.verify_flags |= flag
    for flag in getattr(given, "exclude_verify_flags", None) or ():
        context.verify_flags &= ~flag
    if given.min_version is not None:
        context.minimum_version = given.min_version
    if given.ciphers is not None:
        context.set_ciphers(given.ciphers)
    return context
