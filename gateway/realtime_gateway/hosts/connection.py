"""Whether one host, in the dict form of channels_redis, says where it is: seen before anybody dials it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from realtime_gateway.errors import HostListInvalid

_PLACES = frozenset({"host", "port", "path", "unix_socket_path", "master_name"})
_SCHEMES = ("redis", "rediss", "unix")
_HIGHEST_PORT = 65_535


def check_connection(connection: Mapping[str, Any], where: str) -> None:
    """Refuse a host that nobody can dial; what redis-py makes of the rest is seen when it is dialled.

    Args:
        connection: a dict host form, without name and weight.
        where: what to call it in an error, which never shows a value: it may hold a password.

    Raises:
        HostListInvalid: it says not where it is, or in a form that is none.
    """
    if "master_name" in connection and not connection.get("sentinels"):
        raise HostListInvalid(f"{where} names a master but no sentinels.", "Add 'sentinels': [(host, port), …].")
    if "sentinels" in connection:
        _check_sentinels(connection, where)
    if connection.get("address") is not None:
        _check_address(connection["address"], where)
    elif not _PLACES & set(connection):
        raise HostListInvalid(f"{where} says neither address, host, path nor sentinels.")
    for name in ("host", "path", "unix_socket_path"):
        if name in connection and not _is_text(connection[name]):
            raise HostListInvalid(f"{where} has a {name} that is not a text.")
    if "port" in connection and not _is_port(connection["port"]):
        raise HostListInvalid(f"{where} has a port that is not a number from 1 to {_HIGHEST_PORT}.")


def _check_sentinels(connection: Mapping[str, Any], where: str) -> None:
    if "master_name" not in connection:
        raise HostListInvalid(f"{where} has sentinels but no 'master_name'.")
    if not _is_text(connection["master_name"]):
        raise HostListInvalid(f"{where} has a master_name that is not a text.")
    sentinels = connection["sentinels"]
    if not _is_list(sentinels) or not all(_is_list(one) and len(one) == 2 for one in sentinels):
        raise HostListInvalid(f"{where} has sentinels that are not pairs.", "Write [[host, port], …].")
    if not all(_is_text(host) and _is_port(port) for host, port in sentinels):
        raise HostListInvalid(
            f"{where} has a sentinel that is not a host and a port from 1 to {_HIGHEST_PORT}.",
            "Write [[host, port], …].",
        )


def _check_address(address: object, where: str) -> None:
    if not isinstance(address, str) or not address.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
        raise HostListInvalid(f"{where} has an address that begins with none of redis://, rediss:// and unix://.")
    try:
        _ = urlsplit(address).port
    except ValueError as error:
        # Not with the words of the error, which has a part of the address.
        raise HostListInvalid(f"{where} has an address whose host or port cannot be read.") from error


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_port(value: object) -> bool:
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) <= len(str(_HIGHEST_PORT)) else 0
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _HIGHEST_PORT
