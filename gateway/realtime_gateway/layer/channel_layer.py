"""RedisChannelLayer: what Django Channels and its users call. Checks arguments, and hands the work on."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import weakref
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any

from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer

from realtime_gateway.environment import read_environment
from realtime_gateway.errors import (
    MembershipRefused,
    MessageTooLarge,
    ShardRefused,
    ShardUnavailable,
)
from realtime_gateway.layer import names, requests
from realtime_gateway.layer.binding import Binding
from realtime_gateway.layer.driver import Driver
from realtime_gateway.layer.errands import Errand
from realtime_gateway.layer.flushing import flush
from realtime_gateway.layer.machine.actions import Settle, Verdict
from realtime_gateway.layer.offer import FanOut
from realtime_gateway.layer.options import describe
from realtime_gateway.layer.process_state import ProcessState
from realtime_gateway.layer.refusals import readable, remedy_for
from realtime_gateway.layer.shared_limits import (
    LONGEST_SECONDS,
    MOST_TOKENS,
    Places,
    Tokens,
    hold_places,
    keep_places,
    take_tokens,
)
from realtime_gateway.layer.sources import choose_hosts, choose_options
from realtime_gateway.telemetry import kept, layer_spans, recorder

# Sends a message: (driver, trace context, destination, body, the errand where another loop sends).
Request = Callable[[Driver, bytes, str, bytes, Errand[Any] | None], Coroutine[Any, Any, Settle]]


class RedisChannelLayer(BaseChannelLayer):  # type: ignore[misc]  # Channels ships no types, so the base is Any
    """A channel layer over Redis shards that keeps every acknowledged message.

    Takes the options of both layers of channels_redis, and its own: see ``layer.options.LayerOptions``.

    Raises:
        ConfigurationError: an option is unknown or cannot be used.
    """

    extensions = ["groups", "flush"]

    def __init__(self, hosts: Any = None, **given: Any) -> None:
        environment = read_environment()
        self.options = choose_options({"hosts": hosts, **given}, environment)
        super().__init__(expiry=self.options.expiry, capacity=self.options.capacity)
        self.channel_capacity = self.options.capacities()
        self.group_expiry = self.options.group_expiry
        self.prefix = self.options.prefix
        # The types of what the layer itself sends to every channel of the process; None where it sends nothing.
        self.on_disconnect, self.on_reconnect = self.options.on_disconnect, self.options.on_reconnect
        self.hosts = choose_hosts(self.options, environment)
        # Nothing that lives on a loop refers to the layer, so that one which is dropped (Django makes new ones when
        # CHANNEL_LAYERS changes in a test) ends its connections.
        self._binding = Binding(partial(ProcessState, self.options, self.hosts, environment))
        weakref.finalize(self, self._binding.let_go).atexit = False
        _LAYERS.add(self)

    def __str__(self) -> str:
        return f"{type(self).__name__}(hosts={[describe(shard) for shard in self.hosts.shards]})"

    __repr__ = __str__

    @property
    def client_prefix(self) -> str:
        """The part of its channels' names that says that they belong to this process."""
        return self._binding.state.client_prefix

    # Channels

    async def new_channel(self, prefix: str = "specific") -> str:
        """Return a new channel of this process; whatever is sent to it from now on can be received here."""
        channel = f"{prefix}.{self.client_prefix}!{os.urandom(12).hex()}"
        driver = self._binding.driver_here()
        if driver is None:
            await self._binding.run(lambda driver: requests.open_channel(driver, channel), receives=True)
        else:
            requests.open_mailbox(driver, channel)
        return channel

    async def new_watched_channel(self, prefix: str, capacity: int, kind: str) -> str:
        """Return a new channel for a reader who has to know when a message to it is missing.

        Its messages wait until they are taken. It gets a message ``{"type": kind, "lost": …}`` each time that a shard
        is back; ``lost`` says that something may be missing, be it that more than ``capacity`` messages waited.
        """
        channel = f"{prefix}.{self.client_prefix}!{secrets.token_hex(12)}"
        await self._binding.run(
            lambda driver: requests.open_watched_channel(driver, channel, capacity, kind), receives=True
        )
        return channel

    async def send(self, channel: str, message: Any) -> None:
        """Send a message to one channel, and return when it is stored.

        What Channels itself receives from, a specific channel, takes dicts. A normal channel takes whatever the
        serializer does, since its reader may be anybody's.

        Raises:
            ChannelFull: too many messages wait in it.
            ShardUnavailable: its shard could not be reached in time.
            ShardRefused: its shard answered with an error.
            MessageTooLarge: nothing was sent.
        """
        self.require_valid_channel_name(channel)
        kind = "queue" if names.process_of(channel) is None else "channel"
        if isinstance(message, dict):
            assert "__asgi_channel__" not in message
        else:
            assert kind == "queue", "message is not a dict"
        body = self._encode(message, channel)
        settled = await self._publish(requests.send, kind, channel, body)
        if settled.verdict is Verdict.FULL:
            _count("publish failed", "full", ChannelFull)
            raise ChannelFull(channel)
        self._raise_unless_done(settled)

    async def receive(self, channel: str) -> Any:
        """Return the oldest message of a channel, waiting for one; may be cancelled without losing any."""
        # Once per delivery: a channel that has a mailbox on this loop has been checked when it was made.
        driver = self._binding.driver_here()
        if driver is not None and channel in driver.state.mailboxes and "!" in channel:
            try:
                return await requests.receive(driver, channel)
            except requests.Moved:
                pass
        self.require_valid_channel_name(channel)
        if names.process_of(channel) is None:
            return await self._binding.run(
                lambda driver: requests.receive_queued(driver, channel), receives=True, waits=True
            )
        assert self._binding.state.owns(channel), "Wrong client prefix"
        return await self._binding.run(lambda driver: requests.receive(driver, channel), receives=True, waits=True)

    def source(self, channel: str) -> requests.OwnChannel | None:
        """Return what brings the same as ``receive`` of an own channel; None where only that does."""
        driver = self._binding.driver_here()
        is_own = driver is not None and requests.is_open(driver, channel)
        if type(self).receive is not _RECEIVE or not (is_own or self._binding.state.owns(channel)):
            return None
        return requests.OwnChannel(self._binding, channel)

    async def forget(self, channel: str) -> None:
        """Drop a channel of this process for good: its messages, and its memberships."""
        driver = self._binding.driver_here()
        if driver is not None and requests.is_open(driver, channel):
            requests.forget_at_once(driver, channel)
            return
        self.require_valid_channel_name(channel)
        await self._binding.run(lambda driver: requests.forget(driver, channel))

    def attach(self, deliver: FanOut) -> None:
        """Offer every message to ``deliver``, on the loop that has the I/O, before it goes into mailboxes."""
        self._binding.state.fan_out = deliver

    async def take_tokens(self, key: str, rate_per_second: float, burst: float, wanted: int = 1) -> Tokens:
        """Take tokens out of a bucket that all processes share, by one call of Redis; never raises for its trouble.

        While the bucket's shard does not answer, this process has a bucket of its own, as large as the shared one.

        Args:
            key: the bucket's name; one that is new is full.
            rate_per_second: how many tokens come.
            burst: how many fit.
            wanted: how many to take, or as many as there are.

        Raises:
            ValueError: a number is not above 0, or a token does not fit; one is above MOST_TOKENS, or an empty bucket
                takes more than LONGEST_SECONDS to fill.
        """
        if not (rate_per_second > 0 and burst >= 1 and wanted >= 1):
            raise ValueError(f"A bucket of {burst} tokens, {rate_per_second} a second, gives nobody {wanted} of them.")
        if max(rate_per_second, burst, wanted) > MOST_TOKENS or burst / rate_per_second > LONGEST_SECONDS:
            raise ValueError(
                f"A bucket of {burst} tokens, {rate_per_second} a second, cannot be counted: give at most "
                f"{MOST_TOKENS:g} tokens, and a bucket that is full within {LONGEST_SECONDS:g} s."
            )
        rate = (rate_per_second, burst)
        return await self._binding.run(lambda driver: take_tokens(driver, key, rate, wanted))

    async def hold_places(self, key: str, count: int, most: int) -> Places:
        """Hold places of something that has so many over all processes, for HOLD_SECONDS; never raises for Redis.

        Args:
            key: its name.
            count: how many this process wants to hold from now on, in all; 0 lets go.
            most: how many there are; 0 holds them whatever others do.
        """
        return await self._binding.run(lambda driver: hold_places(driver, key, count, most))

    async def keep_places(self, keys: Collection[str], count: Callable[[str], int]) -> None:
        """Say again which places are held, by one call for each shard; never raises for Redis.

        Args:
            keys: the things.
            count: how many this process holds of one, whatever others hold; 0 lets go. It is called at the moment in
                which the answer leaves, on the loop that has the connections.
        """
        await self._binding.run(lambda driver: keep_places(driver, keys, count))

    # Groups

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel to a group; nothing sent to the group after this returns is missed.

        Raises:
            MembershipRefused: the channel's process is gone or does not answer.
            ShardUnavailable: the group's shard could not be reached in time.
        """
        # Once per handshake: what has a mailbox on this loop, or members, was checked when it got them.
        driver = self._binding.driver_here()
        if driver is not None and type(group) is str and requests.join_at_once(driver, group, channel):
            return
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        own = self._binding.state.owns(channel)
        settled = await self._binding.settle(
            lambda driver, errand: requests.join(driver, group, channel, errand), receives=own
        )
        if settled.verdict is Verdict.OWNER_GONE:
            raise MembershipRefused(channel, f"{channel} was not added to the group {group}: {settled.detail}.")
        self._raise_unless_done(settled, "membership failed")

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; does nothing when it is not in it."""
        self.require_valid_group_name(group)
        driver = self._binding.driver_here()
        if driver is not None and requests.leave_at_once(driver, group, channel):
            return
        self.require_valid_channel_name(channel)
        settled = await self._binding.settle(lambda driver, errand: requests.leave(driver, group, channel, errand))
        if settled.verdict is Verdict.OWNER_GONE:
            raise MembershipRefused(channel, f"{channel} was not taken out of the group {group}: {settled.detail}.")
        self._raise_unless_done(settled, "membership failed")

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Send a message to everybody in a group; one write, however many there are.

        Raises:
            ShardUnavailable: the group's shard could not be reached in time.
            ShardRefused: the group's shard answered with an error.
            MessageTooLarge: nothing was sent.
        """
        assert isinstance(message, dict), "message is not a dict"
        self.require_valid_group_name(group)
        body = self._encode(message, group)
        self._raise_unless_done(await self._publish(requests.group_send, "group", group, body))

    # Everything

    async def flush(self) -> None:
        """Clear all messages and members of this prefix, on all shards and in all processes."""
        await self._binding.run(flush)

    async def close(self) -> None:
        """End all connections, when what was sent is on a replica; the layer opens new ones when it is used again."""
        await self._binding.close()

    async def close_pools(self) -> None:
        """End all connections, under the name that channels_redis gives it."""
        await self.close()

    def serialize(self, message: Any) -> bytes:
        """Return the bytes of a message, as both layers of channels_redis do."""
        return self._binding.state.serializer.encode(message)

    def deserialize(self, message: bytes) -> dict[str, Any]:
        """Return the message that bytes of ``serialize`` stand for."""
        serializer = self._binding.state.serializer
        return serializer.decode(serializer.open(message))

    def _group_key(self, group: str) -> bytes:
        # Under the name that it has in channels_redis: projects count a group's members in Redis by it. Here it holds
        # those members that are normal channels; the others are in their processes' memory only.
        state = self._binding.state
        return state.identity.names.members(names.group(state.group_names.outside(group))).encode()

    # Inside

    async def _publish(self, request: Request, kind: str, name: str, body: bytes) -> Settle:
        span = layer_spans.publish(kind, name, len(body))
        if span is None:
            driver = self._binding.driver_here()
            if driver is not None:
                return await request(driver, b"", name, body, None)
            return await self._binding.settle(lambda driver, errand: request(driver, b"", name, body, errand))
        with span:
            settled = await self._binding.settle(lambda driver, errand: request(driver, span.trace, name, body, errand))
            span.settled(settled.verdict.value, settled.shard, settled.round_trip)
        return settled

    def _encode(self, message: Any, where: str) -> bytes:
        body = self._binding.state.serializer.encode(message)
        if len(body) > self.options.max_message_size_bytes:
            raise MessageTooLarge(
                f"A message of {len(body)} bytes to {where} is longer than the channel layer's bound of "
                f"{self.options.max_message_size_bytes} bytes.",
                "Send a reference to the data, or raise max_message_size_bytes.",
            )
        return body

    def _raise_unless_done(self, settled: Settle, kept_as: str = "publish failed") -> None:
        if settled.verdict is Verdict.DONE:
            return
        if settled.verdict is Verdict.UNAVAILABLE:
            _count(kept_as, "unavailable", ShardUnavailable)
            if not settled.shard:
                raise ShardUnavailable("", f"It is not known whether this was stored: {settled.detail}.")
            raise ShardUnavailable(
                settled.shard,
                f"The Redis shard {settled.shard!r} could not be reached within {self.options.send_timeout:g} s"
                + (f" ({readable(settled.detail)})." if settled.detail else "."),
                remedy_for(settled.detail),
            )
        if settled.verdict is Verdict.REFUSED:
            _count(kept_as, "refused", ShardRefused)
            raise ShardRefused(
                settled.shard,
                f"The Redis shard {settled.shard!r} refused: {readable(settled.detail)}.",
                remedy_for(settled.detail),
            )

    def _after_fork_in_child(self) -> None:
        self._binding.after_fork_in_child()


log = logging.getLogger("realtime_gateway.layer")
_LAYERS: weakref.WeakSet[RedisChannelLayer] = weakref.WeakSet()
# Whoever replaces it, in a subclass or by a patch, wants to be asked for each message.
_RECEIVE = RedisChannelLayer.receive


def _count(kept_as: str, reason: str, error: type[Exception]) -> None:
    recorder.layer_refused.add(1, reason)
    kept.failure(kept_as, error.__name__, recorder.layer_refused, reason)


def _after_fork_in_child() -> None:
    for layer in list(_LAYERS):
        try:
            layer._after_fork_in_child()
        except Exception:
            log.exception("a channel layer could not be made new in a forked process")


def _at_exit() -> None:
    for layer in list(_LAYERS):
        layer._binding.process_ends()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
