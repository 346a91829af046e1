"""What a process's layer keeps from one event loop to the next: the machine, the mailboxes, who it is."""

from __future__ import annotations

import copy
import json
import os
import secrets
import uuid
from collections import deque
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from realtime_gateway.environment import Environment
from realtime_gateway.hosts import Documents, HostList
from realtime_gateway.layer import drops, names
from realtime_gateway.layer.encryption_keys import KeysFile
from realtime_gateway.layer.hosts_file import HostsFile
from realtime_gateway.layer.machine import events
from realtime_gateway.layer.machine.actions import Settle
from realtime_gateway.layer.machine.limits import Identity, Limits
from realtime_gateway.layer.machine.process import ProcessMachine
from realtime_gateway.layer.mailboxes import Body, Mailbox, Mailboxes
from realtime_gateway.layer.offer import FanOut
from realtime_gateway.layer.options import LayerOptions, label
from realtime_gateway.layer.own_messages import OwnMessages
from realtime_gateway.layer.serializers import Serializer
from realtime_gateway.layer.shared_limits import SharedLimits
from realtime_gateway.layer.undelivered import Undelivered
from realtime_gateway.telemetry import recorder


class Taken:
    """A message that was taken out of a work queue, and its number."""

    __slots__ = ("_body", "number")

    def __init__(self, body: Body, number: int) -> None:
        self._body = body
        self.number = number

    def decode(self) -> dict[str, Any]:
        """Return a dict that nobody else has."""
        return self._body.decode()


class Ready:
    """A message that the layer itself has for a channel."""

    __slots__ = ("_message",)

    def __init__(self, message: dict[str, Any]) -> None:
        self._message = message

    def decode(self) -> dict[str, Any]:
        """Return a dict that nobody else has."""
        return copy.deepcopy(self._message)


class ProcessState:
    """Everything but the sockets. Only the loop that I/O is bound to touches it.

    Args:
        options: as the user wrote them.
        hosts: the list to start with.
        environment: what people call this process, and where its host list is mounted.
        keys_file: of the process that this one was forked from, with the keys that it used last.

    Attributes:
        keys_file: the encryption keys, where they are in a file.
    """

    def __init__(
        self, options: LayerOptions, hosts: HostList, environment: Environment, keys_file: KeysFile | None = None
    ) -> None:
        self.options = options
        self.client_prefix = uuid.uuid4().hex
        self._inbox = names.inbox(self.client_prefix)
        self.process_name = environment.process_name or f"pid-{os.getpid()}"
        file = options.encryption_keys_file
        self.keys_file = keys_file or (KeysFile(Path(file), options.key_settle_seconds) if file else None)
        self._keys = self.keys_file.look() if self.keys_file else options.symmetric_encryption_keys
        self.serializer = self._serializer()
        secret = options.hide_names
        self.group_names = names.GroupNames(secret.encode() if isinstance(secret, str) else secret)
        self._capacities = options.capacities()
        labels = {shard.name: label(shard) for shard in hosts.shards}
        documents = Documents(self._keys or (), options.prefix)
        key_names = names.Names(options.prefix)
        self.identity = Identity(self.client_prefix, secrets.randbits(63), key_names, labels, documents)
        self.hosts_file = HostsFile(environment.hosts_file if options.follow_hosts else None)
        limits = Limits(
            expiry_seconds=options.expiry,
            group_expiry_seconds=options.group_expiry,
            send_timeout_seconds=options.send_timeout,
            history_seconds=options.history_seconds,
            history_messages=options.history_messages,
            replay_seconds=options.replay_seconds,
            replay_bytes=options.replay_bytes,
            follow_hosts=options.follow_hosts,
            capacity_of=self.capacity_of,
        )
        self.machine = ProcessMachine(self.identity, limits, hosts, uuid.uuid4().hex)
        self.mailboxes = Mailboxes(self.capacity_of, options.expiry)
        self.undelivered = Undelivered()
        self.full_channels: set[str] = set()
        self.full_logged_at = -1e9
        self.fan_out: FanOut | None = None
        self.shared_limits = SharedLimits()
        self._tickets = 0
        # Ticket → how to tell somebody whose loop has not the I/O any more.
        self.waiting_elsewhere: dict[int, Callable[[Settle], None]] = {}
        self.own = OwnMessages(self._seen)
        self._flushes: deque[str] = deque(maxlen=100)

    def capacity_of(self, channel: str) -> int:
        """How many messages may wait in a channel; the first pattern that matches decides."""
        for pattern, capacity in self._capacities:
            if pattern.match(channel):
                return capacity
        return self.options.capacity

    def look_at_keys(self) -> bool:
        """Use the encryption keys as their file has them now, and say whether they are others than before.

        What has been received is opened with those of before.
        """
        keys = self._keys if self.keys_file is None else self.keys_file.look()
        if keys == self._keys:
            return False
        self._keys = keys
        self.serializer = self._serializer()
        self.identity.documents.use(keys or ())
        return True

    def _serializer(self) -> Serializer:
        return Serializer(self.options.serializer_format, self._keys, self.options.random_prefix_length)

    def owns(self, channel: str) -> bool:
        """Whether a specific channel belongs to this process."""
        return names.process_of(channel) == self.client_prefix

    @property
    def listens(self) -> bool:
        """Whether the process's own inbox is followed, so that Listen would change nothing."""
        return self._inbox in self.machine.following.follows

    def new_ticket(self) -> int:
        """Return a number for a request; requests of a loop that has ended may still be in the machine."""
        self._tickets += 1
        return self._tickets

    @property
    def last_ticket(self) -> int:
        """The ticket of the newest request."""
        return self._tickets

    def drop(self, channel: str) -> int:
        """Forget a local channel; return how many messages went with it."""
        self.own.forget(channel)
        self.full_channels.discard(channel)
        return self.mailboxes.drop(channel)

    def has_room(self, channel: str, box: Mailbox, now: float) -> bool:
        """Whether one more message fits into an own channel; what is on its way takes room as well."""
        if len(box) + self.own.count(channel, self._inbox) < box.capacity:
            return True
        drops.count("expired", box.expire(now))
        return len(box) + self.own.count(channel, self._inbox) < box.capacity

    def _seen(self, destination: str) -> int:
        return self.machine.sequence_seen(destination)

    def give_back(self, box: Mailbox, submit: Callable[[Any], None]) -> None:
        """Return what was taken from a queue for receivers that are gone."""
        for body in box.drain():
            if isinstance(body, Taken):
                submit(events.Unwanted(body.number))

    # Flush

    def new_flush(self) -> bytes:
        """Return the control message of a flush of our own."""
        word = uuid.uuid4().hex
        self._flushes.append(word)
        return json.dumps({"flush": word}).encode()

    def flushed_elsewhere(self, payload: bytes, submit: Callable[[Any], None]) -> None:
        """Act on a control message; each flush comes once per shard and counts once."""
        try:
            word = str(json.loads(payload)["flush"])
        except (ValueError, KeyError, RecursionError):
            drops.count("malformed")
            return
        if word not in self._flushes:
            self._flushes.append(word)
            self.clear(submit)

    def clear(self, submit: Callable[[Any], None]) -> None:
        """Forget members and messages; channels and those who wait on them stay."""
        self.mailboxes.clear()
        self.undelivered.clear()
        self.own.clear()
        submit(events.Flushed())

    def description(self) -> str:
        """What this process says of itself on every shard."""
        return json.dumps(
            {
                "id": self.client_prefix,
                "name": self.process_name,
                "pid": os.getpid(),
                "epoch": self.machine.reported_epoch,
                "expiry_seconds": self.options.expiry,
                "connections": int(sum(recorder.connections.values.values())),
                "auth_stack": next(iter(recorder.auth_stack.values), ""),
                "version": _version(),
            }
        )


@cache
def _version() -> str:
    try:
        return metadata.version("realtime-gateway")
    except metadata.PackageNotFoundError:
        return "unknown"
