"""The constructor options of both layers of channels_redis, and this layer's own, as one frozen object."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from realtime_gateway.environment import Environment
from realtime_gateway.errors import ConfigurationError, HostListInvalid
from realtime_gateway.hosts import HostList, Shard, check_connection
from realtime_gateway.layer.names import ambiguous_end
from realtime_gateway.resource.secret_files import ENCRYPTION_KEYS
from realtime_gateway.resource.spec import ChannelLayer

DEFAULT_ADDRESS = "redis://localhost:6379"
_OF_THE_RESOURCE = ChannelLayer()
_SECONDS = ("expiry", "group_expiry", "send_timeout", "history_seconds", "replay_seconds", "key_settle_seconds")
_COUNTS = ("history_messages", "capacity", "replay_bytes", "max_message_size_bytes")
# A century: what Redis and the clocks of event loops can add to the present time.
_MOST_SECONDS = 100 * 365 * 86_400
# What a script of Redis can count, whose numbers are floats.
_MOST = 2**53
_SECRET_LENGTH = 16
# A kubelet brings a changed Secret to its pods within its sync period of a minute and what it keeps in its cache for
# another one.
KEY_SETTLE_SECONDS = 180


@dataclass(frozen=True)
class LayerOptions:
    """What a user may write under CONFIG. Times are in seconds.

    Attributes:
        hosts: shards, in any form of channels_redis; None: REDIS_URL, else the local default. Left out of ``repr``:
            they may hold passwords.
        prefix: what every key and pub/sub channel begins with; layers with different prefixes share a Redis.
        expiry: a message not received for so long is dropped; also when a channel without a reader is forgotten.
        group_expiry: a membership ends this long after group_add.
        capacity: how many messages may wait in one channel.
        channel_capacity: capacities by glob or compiled pattern; the first that matches decides. None: no others.
        symmetric_encryption_keys: the first encrypts, all decrypt. Left out of ``repr``.
        encryption_keys_file: a file with such keys, one a line, the newest first, which is followed; instead of them.
        key_settle_seconds: how long a key that has come to the front of that file only decrypts.
        hide_names: a secret of 16 characters or more that gives groups other names in Redis. Left out of ``repr``.
        random_prefix_length: random bytes before each message; 0, since nothing here needs them.
        serializer_format: a name in channels_redis's registry.
        on_disconnect: the ``type`` of a message to every local channel when a shard is lost; None: no message.
        on_reconnect: the same when it is back, with ``lost`` and ``groups``.
        follow_hosts: adopt newer host lists that are found on the shards; False pins ``hosts``.
        send_timeout: how long a send waits for a shard before ShardUnavailable.
        history_seconds: how long an outage may last without a message lost.
        history_messages: how many entries of a group a shard keeps.
        replay_seconds: how long acknowledged messages are kept to be sent again after a failover.
        replay_bytes: and how many bytes of them for each shard.
        max_message_size_bytes: a longer message raises MessageTooLarge.
    """

    hosts: Sequence[Any] | None = field(default=None, repr=False)
    prefix: str = _OF_THE_RESOURCE.prefix
    expiry: float = _OF_THE_RESOURCE.expiry_seconds
    group_expiry: float = _OF_THE_RESOURCE.group_expiry_seconds
    capacity: int = _OF_THE_RESOURCE.capacity
    channel_capacity: Mapping[str | re.Pattern[str], int] | None = field(default_factory=dict)
    symmetric_encryption_keys: Sequence[str | bytes] | None = field(default=None, repr=False)
    encryption_keys_file: str | Path | None = None
    key_settle_seconds: float = KEY_SETTLE_SECONDS
    hide_names: str | bytes | None = field(default=None, repr=False)
    random_prefix_length: int = 0
    serializer_format: str = _OF_THE_RESOURCE.serializer
    on_disconnect: str | None = None
    on_reconnect: str | None = None
    follow_hosts: bool = True
    send_timeout: float = 10
    history_seconds: float = _OF_THE_RESOURCE.history.seconds
    history_messages: int = _OF_THE_RESOURCE.history.messages
    replay_seconds: float = 20
    replay_bytes: int = 32 * 1024 * 1024
    max_message_size_bytes: int = 10 * 1024 * 1024

    def __post_init__(self) -> None:
        # AssertionError: what upstream raises, and what its users' tests expect.
        assert isinstance(self.prefix, str), "Prefix must be unicode"
        end = ambiguous_end(self.prefix)
        if end:
            raise ConfigurationError(
                f"The channel layer's prefix {self.prefix!r} must not end in {end!r}: a deployment with the prefix "
                f"{self.prefix.removesuffix(end)!r} has keys of the same names."
            )
        for name in _SECONDS:
            _require_seconds(name, getattr(self, name))
        for name in _COUNTS:
            _require_count(name, getattr(self, name))
        for pattern, capacity in (self.channel_capacity or {}).items():
            _require_count(f"channel_capacity for {pattern!r}", capacity)
        if self.symmetric_encryption_keys and self.encryption_keys_file:
            raise ConfigurationError(
                "The channel layer has symmetric_encryption_keys and an encryption_keys_file.", "Give one of them."
            )
        if self.hide_names is not None and not (
            isinstance(self.hide_names, str | bytes) and len(self.hide_names) >= _SECRET_LENGTH
        ):
            raise ConfigurationError(
                f"The channel layer's hide_names must be a secret of at least {_SECRET_LENGTH} characters.",
                "All processes of a deployment need the same one.",
            )

    def capacities(self) -> list[tuple[re.Pattern[str], int]]:
        """Return channel_capacity with globs compiled, in order."""
        return [
            (re.compile(fnmatch.translate(pattern)) if isinstance(pattern, str) else pattern, capacity)
            for pattern, capacity in (self.channel_capacity or {}).items()
        ]


def _require_seconds(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= _MOST_SECONDS:
        raise ConfigurationError(
            f"The channel layer's {name} must be a number of seconds above 0, not {value!r}.",
            f"The most is {_MOST_SECONDS}, a century.",
        )


def _require_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MOST:
        raise ConfigurationError(f"The channel layer's {name} must be a whole number above 0, not {value!r}.")


def read_options(
    given: Mapping[str, Any], resource: ChannelLayer | None = None, secrets_directory: Path | None = None
) -> LayerOptions:
    """Build the options; what is given wins over the resource, which wins over the defaults.

    Args:
        given: CONFIG.
        resource: of the process, if it has one.
        secrets_directory: where the files are that the resource refers to.

    Raises:
        ConfigurationError: an option is unknown or has an impossible value.
    """
    known = [one.name for one in fields(LayerOptions)]
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise ConfigurationError(
                f"The channel layer has no option {name!r}.",
                f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(known)}.",
            )
    options = {**_of_resource(resource), **given} if resource else dict(given)
    if resource is not None and resource.encryption_keys_secret_ref is not None and not _names_keys(given):
        options["encryption_keys_file"] = _in_directory(secrets_directory)
    return LayerOptions(**options)


def _names_keys(given: Mapping[str, Any]) -> bool:
    return bool(given.get("symmetric_encryption_keys") or given.get("encryption_keys_file"))


def _in_directory(secrets_directory: Path | None) -> Path:
    if secrets_directory is None:
        raise ConfigurationError(
            "The resource names encryption keys, and this process has no directory with secrets.",
            f"Set REALTIME_GATEWAY_SECRETS to one that holds the file {ENCRYPTION_KEYS}.",
        )
    return secrets_directory / ENCRYPTION_KEYS


def _of_resource(resource: ChannelLayer) -> dict[str, Any]:
    return {
        "prefix": resource.prefix,
        "expiry": resource.expiry_seconds,
        "group_expiry": resource.group_expiry_seconds,
        "capacity": resource.capacity,
        "channel_capacity": {one.pattern: one.capacity for one in resource.channel_capacity},
        "serializer_format": resource.serializer,
        "history_seconds": resource.history.seconds,
        "history_messages": resource.history.messages,
    }


def plain_hosts(hosts: Sequence[Any] | None, environment: Environment) -> HostList:
    """Return the host list of epoch 0 of CONFIG's ``hosts``, else REDIS_URL, else the local default.

    Raises:
        HostListInvalid: an entry has none of the forms.
    """
    if isinstance(hosts, str | bytes):
        # ValueError by its ancestry upstream; here the same words and an error of ours.
        raise HostListInvalid("You must pass a list of Redis hosts, even if there is only one.", f"Write [{hosts!r}].")
    entries: Sequence[Any] = hosts or environment.redis_urls or (DEFAULT_ADDRESS,)
    return HostList(epoch=0, shards=tuple(_shard(str(index), entry) for index, entry in enumerate(entries)))


def _shard(position: str, entry: Any) -> Shard:
    if isinstance(entry, Mapping):
        fields_given = dict(entry)
        name, weight = str(fields_given.pop("name", position)), fields_given.pop("weight", 1.0)
        connection = fields_given
    elif isinstance(entry, tuple | list) and len(entry) == 2:
        name, weight, connection = position, 1.0, {"host": entry[0], "port": entry[1]}
    elif isinstance(entry, str):
        name, weight, connection = position, 1.0, {"address": entry}
    else:
        raise HostListInvalid(
            f"hosts[{position}] is neither a URL, nor a (host, port) pair, nor a dict, but a {type(entry).__name__}."
        )
    check_connection(connection, f"hosts[{position}]")
    return Shard(name, weight, connection)


def label(shard: Shard) -> str:
    """Return what stands for a shard in pub/sub names: its name, and its database, which PUBLISH knows nothing of."""
    connection = shard.connection
    databases = [connection.get("db")]
    address = connection.get("address")
    if address:
        parts = urlsplit(address)
        query = parse_qs(parts.query).get("db", [None])[0]
        path = parts.path.replace("/", "") if parts.scheme != "unix" else ""
        databases = [query, unquote(path), *databases]
    number = next((number for one in databases if (number := _number(one)) is not None), 0)
    return f"{shard.name}@{number}" if number else shard.name


def _number(database: object) -> int | None:
    """The number of a database, however it is written (``01`` is 1); None for what redis-py passes over."""
    try:
        return int(str(database))
    except ValueError:
        return None


def describe(shard: Shard) -> str:
    """Return where a shard is, for people: never a password."""
    connection = shard.connection
    if "master_name" in connection:
        where = ", ".join(f"{host}:{port}" for host, port in connection["sentinels"])
        return f"{connection['master_name']} by Sentinel {where}"
    if "address" in connection:
        parts = urlsplit(connection["address"])
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    path = connection.get("path") or connection.get("unix_socket_path")
    return str(path) if path else f"{connection.get('host', 'localhost')}:{connection.get('port', 6379)}"
