"""The host-list document: named, weighted shards with an epoch, and the lists of epochs not yet retired.

As JSON (the same in the mounted file, in the key on every shard and on the control channel):

    {"epoch": 7, "shards": [{"name": "chat-redis-0", "weight": 1, "sentinels": [["chat-sentinel", 26379]],
                             "master_name": "chat-redis-0"}, …],
     "earlier": [{"epoch": 6, "shards": […]}],
     "managed_by": "RealtimeGateway default/chat", "signature": "…"}

Beside ``name`` and ``weight`` a shard holds what channels_redis accepts as one entry of ``hosts`` in its dict form.
``signature`` is made and checked by ``signing`` alone: it says something of the document, not of the shards, and so is
no part of a comparison, and not of what ``to_document`` returns.
Epoch 0 is the epoch of a plain list: it is never stored, and a shard that holds no document is at epoch 0.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts.connection import check_connection
from realtime_gateway.hosts.rendezvous import owner

# What an entry has room for.
MOST_EPOCH = 2**32 - 1


@dataclass(frozen=True)
class Shard:
    """One Redis shard.

    Attributes:
        name: its identity, which decides what it owns; an address may change, a name may not. Without a colon: the
            pub/sub channels of ``eu:0`` behind the prefix ``asgi`` would be those of ``0`` behind ``asgi:eu``.
        weight: its share of the keys, relative to the other shards' weights.
        connection: a dict host form of channels_redis: ``address``, ``host`` and ``port``, ``path``, or ``sentinels``
            and ``master_name``, with any keyword of redis-py's connections beside them. Left out of ``repr``: it may
            hold a password.
    """

    name: str
    weight: float = 1.0
    connection: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            raise HostListInvalid(
                f"A shard's name must be a non-empty line of text without a colon, not {self.name!r}."
            )
        if not isinstance(self.weight, int | float) or isinstance(self.weight, bool):
            raise HostListInvalid(f"Shard {self.name!r}: weight must be a number, not {self.weight!r}.")
        if not 0 < self.weight <= sys.float_info.max:
            raise HostListInvalid(f"Shard {self.name!r}: weight must be above 0 and finite, not {self.weight!r}.")

    @property
    def place(self) -> tuple[str, str]:
        """Its name and where it is, equal however the hosts were written (a pair in code is a list in JSON)."""
        return self.name, json.dumps(dict(self.connection), sort_keys=True)


@dataclass(frozen=True)
class HostList:
    """The shards of one epoch, and those of earlier epochs that are not retired.

    Attributes:
        epoch: 0 for a plain list, else as allotted by whoever rolls the list, one above the last; a greater epoch is
            newer. At most MOST_EPOCH.
        shards: at least one, with distinct names.
        earlier: older lists, newest first, without lists of their own.
        managed_by: who makes the next one, and nobody else should; empty for a list that people keep by hand.
        signature: that the document came with; empty for one without.
    """

    epoch: int
    shards: tuple[Shard, ...]
    earlier: tuple[HostList, ...] = ()
    managed_by: str = ""
    signature: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.epoch <= MOST_EPOCH:
            raise HostListInvalid(
                f"A host list's epoch must be a whole number from 0 to {MOST_EPOCH}, not {self.epoch!r}.",
                "Take the epoch of the list before it and add one.",
            )
        if not self.shards:
            raise HostListInvalid(f"The host list of epoch {self.epoch} has no shards.", "Name at least one.")
        names = [shard.name for shard in self.shards]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise HostListInvalid(
                f"The host list of epoch {self.epoch} names {', '.join(map(repr, twice))} more than once.",
                "Give each shard a name of its own.",
            )
        epochs = [self.epoch, *(older.epoch for older in self.earlier)]
        if epochs != sorted(set(epochs), reverse=True):
            raise HostListInvalid(f"Earlier host lists must have falling epochs below {self.epoch}, not {epochs[1:]}.")

    @property
    def every_shard(self) -> tuple[Shard, ...]:
        """Every shard of this list and of the earlier ones, the newest form of each name, without a name twice."""
        found: dict[str, Shard] = {}
        for hosts in (self, *self.earlier):
            for shard in hosts.shards:
                found.setdefault(shard.name, shard)
        return tuple(found.values())

    def same_as(self, other: HostList) -> bool:
        """Whether both say the same, however the hosts were written (a pair in code is a list in JSON)."""
        if self.epoch != other.epoch or self == other:
            return self.epoch == other.epoch
        return bool(json.loads(self.to_json()) == json.loads(other.to_json()))

    def owner(self, key: str) -> Shard:
        """Return the shard that owns ``key`` in this epoch."""
        return owner(key, self.shards)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> HostList:
        """Read a document.

        Args:
            text: the JSON document.
            where: what to call its source in an error, such as a file's path.

        Raises:
            HostListInvalid: it is not JSON, or not a host list.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise HostListInvalid(f"{where}: not a JSON document: {error}.") from error
        try:
            return cls.from_document(document)
        except HostListInvalid as error:
            raise HostListInvalid(f"{where}: {error.message}", error.remedy) from error
        except RecursionError as error:
            raise HostListInvalid(f"{where}: earlier lists within earlier lists: {error}.") from error

    @classmethod
    def from_document(cls, document: object) -> HostList:
        """Build a list from a decoded document; raises HostListInvalid when it is not one."""
        body = _mapping(document, "a host list")
        unknown = sorted(set(body) - {"epoch", "shards", "earlier", "managed_by", "signature"})
        if unknown:
            raise HostListInvalid(f"A host list has epoch, shards and earlier, but no {', '.join(unknown)}.")
        shards = tuple(_shard(entry) for entry in _sequence(body.get("shards"), "shards"))
        earlier = tuple(cls.from_document(entry) for entry in _sequence(body.get("earlier", ()), "earlier"))
        epoch = body.get("epoch", 0)
        if not isinstance(epoch, int) or isinstance(epoch, bool):
            raise HostListInvalid(f"A host list's epoch must be a whole number from 0, not {epoch!r}.")
        return cls(epoch, shards, earlier, _text(body, "managed_by"), _text(body, "signature"))

    def to_document(self) -> dict[str, Any]:
        """Return the document as JSON's own types; equal lists give equal documents."""
        document: dict[str, Any] = {
            "epoch": self.epoch,
            "shards": [{"name": s.name, "weight": s.weight, **s.connection} for s in self.shards],
        }
        if self.earlier:
            document["earlier"] = [older.to_document() for older in self.earlier]
        if self.managed_by:
            document["managed_by"] = self.managed_by
        return document

    def to_json(self) -> str:
        """Return the document as one line of JSON with sorted keys, the form whose bytes may be compared."""
        return json.dumps(self.to_document(), sort_keys=True, separators=(",", ":"))


def _shard(entry: object) -> Shard:
    fields = dict(_mapping(entry, "a shard"))
    shard = Shard(name=fields.pop("name", ""), weight=fields.pop("weight", 1.0), connection=fields)
    check_connection(fields, f"Shard {shard.name!r}")
    return shard


def _is_name(value: object) -> bool:
    if not isinstance(value, str) or not value or "\n" in value or ":" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates, which JSON can write and nobody can send
        return False
    return True


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise HostListInvalid(f"A host list's {name} must be a text, not {value!r}.")
    return value


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        # Not the value, which may be a URL with a password.
        raise HostListInvalid(f"Expected {what} as an object with fields, not a {type(value).__name__}.")
    return value


def _sequence(value: object, what: str) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise HostListInvalid(f"Expected {what} as a list, not a {type(value).__name__}.")
    return value
