"""What one call of the channel layer does, on the loop that has the I/O."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, Protocol

from realtime_gateway.layer import drops, names
from realtime_gateway.layer.driver import Driver
from realtime_gateway.layer.envelope import Kind
from realtime_gateway.layer.errands import Errand
from realtime_gateway.layer.machine import events
from realtime_gateway.layer.machine.actions import Settle, Verdict
from realtime_gateway.layer.machine.follow import Phase
from realtime_gateway.layer.mailboxes import Attendee, Body, Mailbox, WatchedMailbox
from realtime_gateway.layer.own_messages import OwnMessages
from realtime_gateway.layer.process_state import Ready, Taken

log = logging.getLogger("realtime_gateway.layer")

# Redis writes the push and the answer in the same turn of its loop; longer than this it is held up by something.
_COME_BACK_SECONDS = 0.25
_NOTHING = object()  # None is a message, too, in a queue


def open_mailbox(driver: Driver, channel: str) -> Mailbox:
    """Make a mailbox, and follow the inbox; nothing has to be waited for, since the inbox is read from its start."""
    if not driver.state.listens:
        driver.submit(events.Listen())
    return driver.state.mailboxes.open(channel, driver.loop.time())


def is_open(driver: Driver, channel: str) -> bool:
    """Whether this is a channel of this process that has a mailbox; queues have some too."""
    return channel in driver.state.mailboxes and "!" in channel


async def open_channel(driver: Driver, channel: str) -> None:
    """Make a channel of this process known."""
    open_mailbox(driver, channel)


async def open_watched_channel(driver: Driver, channel: str, capacity: int, kind: str) -> None:
    """Make a channel known that hears of every trouble in which it may have missed something."""
    driver.submit(events.Listen())
    lost, back = (Ready({"type": kind, "lost": lost}) for lost in (True, False))
    driver.state.mailboxes.open_watched(channel, WatchedMailbox(capacity, driver.loop.time(), lost, back))


async def send(driver: Driver, trace: bytes, channel: str, body: bytes, errand: Errand[Any] | None = None) -> Settle:
    """Send to one channel."""
    process = names.process_of(channel)
    if process == driver.state.client_prefix:
        return await _send_to_own(driver, trace, channel, body, errand)
    if process is None:
        ended = driver.publish(names.queue(channel), Kind.QUEUED, "", trace, body, driver.state.capacity_of(channel))
    else:
        ended = driver.publish(names.inbox(process), Kind.CHANNEL, channel, trace, body)
    if errand is not None:
        errand.takes(driver, ended)
    return await ended


async def _send_to_own(driver: Driver, trace: bytes, channel: str, body: bytes, errand: Errand[Any] | None) -> Settle:
    state = driver.state
    box = state.mailboxes.get(channel)
    if box is not None and not state.has_room(channel, box, driver.loop.time()):
        return Settle(-1, Verdict.FULL)
    driver.submit(events.Listen())
    destination = names.inbox(state.client_prefix)
    number = state.machine.last_sequence + 1
    if box is not None:
        state.own.sent(channel, number)
    future = driver.publish(destination, Kind.CHANNEL, channel, trace, body)
    ticket = state.last_ticket
    if errand is not None:
        errand.takes(driver, future)
    try:
        settled = await future
    except BaseException:
        # It may still be stored, and so takes room until it has an end.
        owner = partial(_ended, state.own, channel, number)
        if errand is None:
            driver.settle_later(ticket, future, owner)
        else:
            errand.tell_too(owner)
        raise
    _ended(state.own, channel, number, settled)
    if settled.verdict is Verdict.DONE:
        await _come_back(driver, destination, number)
    return settled


def _ended(own: OwnMessages, channel: str, number: int, settled: Settle) -> None:
    if settled.verdict is not Verdict.DONE:
        own.not_sent(channel, number)


async def group_send(
    driver: Driver, trace: bytes, group: str, body: bytes, errand: Errand[Any] | None = None
) -> Settle:
    """Send to a group."""
    destination = names.group(driver.state.group_names.outside(group))
    number = driver.state.machine.last_sequence + 1
    ended = driver.publish(destination, Kind.GROUP, "", trace, body)
    if errand is not None:
        errand.takes(driver, ended)
    settled = await ended
    if settled.verdict is Verdict.DONE and destination in driver.state.machine.following.follows:
        await _come_back(driver, destination, number)
    return settled


async def _come_back(driver: Driver, destination: str, number: int) -> None:
    """Let members of this process have what it sends to them before the sender goes on; never a reason to fail."""
    own, follow = driver.state.own, driver.state.machine.following.follows.get(destination)
    if driver.stopped or follow is None or follow.phase is not Phase.LIVE or own.is_back(destination, number):
        return
    waiter: asyncio.Future[None] = driver.loop.create_future()
    own.wait(destination, number, waiter)
    # Not asyncio.wait(), which costs three times as much: every message that somebody here receives passes here.
    timer = driver.loop.call_later(_COME_BACK_SECONDS, own.give_up, destination, waiter)
    try:
        await waiter
    except BaseException:
        own.stop_waiting(destination, waiter)
        raise
    finally:
        timer.cancel()


async def join(driver: Driver, group: str, channel: str, errand: Errand[Any] | None = None) -> Settle:
    """Add a channel to a group."""
    own = driver.state.owns(channel)
    if own:
        open_mailbox(driver, channel)
    elif names.process_of(channel) is not None:
        driver.submit(events.Listen())  # for the answer
    outside = driver.state.group_names.outside(group)
    ended = driver.ask(lambda ticket: events.Join(ticket, outside, channel, own))
    if errand is not None:
        errand.takes(driver, ended)
    return await ended


def join_at_once(driver: Driver, group: str, channel: str) -> bool:
    """Add an own channel to a group that is followed already; False, and nothing is done, for any other.

    Most members join a group that has some: by ``join`` that was a ticket, a future, two turns of the loop and 20 us.
    """
    if not is_open(driver, channel):
        return False
    destination = names.group(driver.state.group_names.outside(group))
    return driver.state.machine.following.joined(destination, channel, driver.loop.time())


def leave_at_once(driver: Driver, group: str, channel: str) -> bool:
    """Take an own channel out of a group; False, and nothing is done, for any other channel."""
    if not is_open(driver, channel):
        return False
    driver.submit(events.Leave(-1, driver.state.group_names.outside(group), channel, own=True))
    return True


async def leave(driver: Driver, group: str, channel: str, errand: Errand[Any] | None = None) -> Settle:
    """Take a channel out of a group."""
    outside = driver.state.group_names.outside(group)
    if driver.state.owns(channel):
        driver.submit(events.Leave(-1, outside, channel, own=True))
        return Settle(-1, Verdict.DONE)
    if names.process_of(channel) is not None:
        driver.submit(events.Listen())
    ended = driver.ask(lambda ticket: events.Leave(ticket, outside, channel, own=False))
    if errand is not None:
        errand.takes(driver, ended)
    return await ended


async def forget(driver: Driver, channel: str) -> None:
    """Drop a channel with its memberships."""
    forget_at_once(driver, channel)


def forget_at_once(driver: Driver, channel: str) -> None:
    """Drop a channel with its memberships."""
    drops.count("forgotten", driver.state.drop(channel))
    driver.submit(events.Gone(channel))


class Moved(Exception):
    """The driver that was waited on has ended: look for the one that there is now."""


async def receive(driver: Driver, channel: str) -> Any:
    """Wait for the oldest message of an own channel.

    Raises:
        Moved: nothing was taken, and nothing comes through this driver any more.
    """
    loop = driver.loop
    while True:
        box = driver.state.mailboxes.get(channel)
        if box is None:
            box = open_mailbox(driver, channel)
        message = _take(driver, channel, box)
        if message is not _NOTHING:
            return message
        if driver.stopped:
            raise Moved
        waiter: asyncio.Future[None] = loop.create_future()
        box.wait(waiter)
        try:
            await waiter
        except BaseException:
            box.stop_waiting(waiter, loop.time())
            raise


class Binding(Protocol):
    """What knows the loop that has the I/O (``binding``)."""

    def driver_on(self, loop: asyncio.AbstractEventLoop) -> Driver | None:
        """The driver, if this loop has the I/O now."""


class OwnChannel:
    """An own channel that can be looked into, by whoever waits on more than this, on the loop that makes it.

    Args:
        binding: of its layer.
        channel: its name.
    """

    __slots__ = ("_attendee", "_binding", "_box", "_channel", "_driver", "_loop")

    def __init__(self, binding: Binding, channel: str) -> None:
        self._binding = binding
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._attendee: Attendee | None = None
        self._driver: Driver | None = None
        self._box: Mailbox | None = None

    def reach(self) -> bool:
        """Find the driver; False where another loop has the I/O, which is for ``receive`` to bring here."""
        driver = self._binding.driver_on(self._loop)
        if driver is not self._driver:
            self._leave_box()
            self._driver = driver
        return driver is not None

    def take(self) -> dict[str, Any] | None:
        """Return the oldest message; None while there is none. Call ``reach`` before, in the same step."""
        box = self._box
        if box is None or box.is_dropped:
            box = self._open()
        if box.items is None:  # as it is in most looks, of which there are several for each message
            return None
        assert self._driver is not None, "whoever calls this has reached for it"
        message = _take(self._driver, self._channel, box)
        return None if message is _NOTHING else message

    def attend(self, attendee: Attendee) -> None:
        """Have somebody woken for each message, from now on."""
        self._attendee = attendee
        if self._box is not None:
            self._box.attendees += (attendee,)

    def end(self) -> None:
        """Nobody looks any more."""
        self._leave_box()
        self._attendee = None

    def _leave_box(self) -> None:
        box, self._box = self._box, None
        if box is not None:
            box.attendees = tuple(one for one in box.attendees if one is not self._attendee)
            box.busy, box.last_receive_at = False, self._loop.time()

    def _open(self) -> Mailbox:
        assert self._driver is not None, "whoever calls this has reached for it"
        box = self._driver.state.mailboxes.get(self._channel)
        if box is None:  # an empty one is false
            box = open_mailbox(self._driver, self._channel)
        if self._attendee is not None:
            # Its consumer may be busy for as long as it likes with what its client said.
            box.attendees += (self._attendee,)
        self._box = box
        return box


async def receive_queued(driver: Driver, channel: str) -> Any:
    """Wait for a message of a normal channel, which any process may take; raises as ``receive``."""
    state, loop = driver.state, driver.loop
    while True:
        box = state.mailboxes.open(channel, loop.time())
        message = _take(driver, channel, box)
        if message is not _NOTHING:
            return message
        if driver.stopped:
            raise Moved
        waiter: asyncio.Future[None] = loop.create_future()
        box.wait(waiter)
        driver.submit(events.Wanted(channel, box.readers))
        try:
            await waiter
        except BaseException:
            # Its turn may go to another receiver here, so who still waits is counted afterwards.
            box.stop_waiting(waiter, loop.time())
            driver.submit(events.Wanted(channel, box.readers))
            if not box.readers:
                state.give_back(box, driver.submit)
            raise


def _take(driver: Driver, channel: str, box: Mailbox) -> Any:
    state, now = driver.state, driver.loop.time()
    while True:
        items = box.items
        if items is not None and items[0][0] <= now:
            drops.count("expired", box.expire(now))
        body = box.take(now)
        if state.full_channels and channel in state.full_channels and not box.full:
            state.full_channels.discard(channel)
            driver.submit(events.Full(channel, False))
        if body is None:
            return _NOTHING
        if type(body) is Taken:
            driver.submit(events.Consumed(body.number))
        message = _decode(body, channel)
        if message is not _NOTHING:
            return message


def _decode(body: Body, channel: str) -> Any:
    try:
        return body.decode()
    except Exception as error:
        # A receiver never raises for what somebody else sent: another key, another serializer.
        drops.count("undecodable")
        log.warning("a message to %s cannot be decoded and is dropped: %s: %s", channel, type(error).__name__, error)
        return _NOTHING
