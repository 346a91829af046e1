"""A link to one shard: two connections to the same server, one for commands, one for subscriptions.

They live and die together. A gap in what was pushed can only be read back from the server that held the subscription,
so a link whose connections ended up on two servers (a failover in between) is not a link.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import hiredis

from realtime_gateway.layer.shards.dialling import DialFailed, Target, dial, find
from realtime_gateway.layer.shards.scripts import load
from realtime_gateway.layer.shards.wire import Wire

# Names in one SUBSCRIBE: enough to make the command cheap, few enough not to hold the server up.
_NAMES_PER_COMMAND = 500
# What Redis 6.2 writes before an error that a script has met.
_BEFORE_CODE = re.compile(r"^.*@user_script: \d+: -(?=[A-Z]+ )")


@dataclass(frozen=True)
class ErrorAnswer:
    """An error that a shard answered: its first word in capitals, and all of it."""

    code: str
    text: str


@dataclass(frozen=True)
class Callbacks:
    """What a link tells its owner.

    Attributes:
        first_topic: subscribed to before the link is open, so that a shard which lets nobody subscribe does not open.
        on_message: topic and payload of each message.
        on_subscribed: a topic whose subscription is confirmed.
        on_lost: once, with the reason, when either connection is gone.
    """

    first_topic: str
    on_message: Callable[[bytes, bytes], None]
    on_subscribed: Callable[[bytes], None]
    on_lost: Callable[[str], None]


class Link:
    """Open connections to one server. Make one with ``open_link``."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks
        self.first_topic = callbacks.first_topic
        self._scripts = load()
        self._lost = False
        self._lost_by = ""
        self._introductions: list[asyncio.Future[Any]] | None = []
        self.run_id = ""
        self.address: tuple[str, int] | None = None
        self.commands: Wire
        self.subscriptions: Wire

    def introduction(self) -> asyncio.Future[Any]:
        """Return a future that fails when the link breaks before it is open."""
        assert self._introductions is not None
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._introductions.append(answer)
        if self._lost:  # by one wire, while the other was dialled
            self._fail(answer)
        return answer

    def opened(self, run_id: str) -> None:
        """Report a loss to the owner from now on.

        Raises:
            DialFailed: it has been lost since the last answer came, when nobody waited for one any more.
        """
        if self._lost:
            raise DialFailed(self._lost_by)
        self.run_id = run_id
        self._introductions = None

    def call(
        self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int], reply: Callable[[Any], None]
    ) -> None:
        """Run a script; ``reply`` gets its return, or an ErrorAnswer, and is never called when the link is lost."""
        chosen = self._scripts[script]
        rest = (len(keys), *keys, *arguments)

        def answered(result: Any) -> None:
            if isinstance(result, hiredis.ReplyError) and str(result).startswith("NOSCRIPT"):
                # Somebody flushed the script cache; EVAL runs it and loads it again.
                self.commands.command(("EVAL", chosen.text, *rest), lambda again: reply(convert(again)))
            else:
                reply(convert(result))

        self.commands.command(("EVALSHA", chosen.digest, *rest), answered)

    def command(self, parts: tuple[str | bytes | int, ...], reply: Callable[[Any], None]) -> None:
        """Run a plain command; as ``call``."""
        self.commands.command(parts, lambda result: reply(convert(result)))

    def subscribe(self, topics: Iterable[str]) -> None:
        """Ask for the messages of these topics; each is confirmed by ``on_subscribed``."""
        self._in_portions("SUBSCRIBE", topics)

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Ask for no more messages of these topics."""
        self._in_portions("UNSUBSCRIBE", topics)

    def look_after(self, now: float, quiet_seconds: float, limit_seconds: float) -> None:
        """Ping what is quiet; a connection that does not answer within the limit is lost."""
        self.commands.look_after(now, quiet_seconds, limit_seconds)
        if not self._lost:
            self.subscriptions.look_after(now, quiet_seconds, limit_seconds)

    def close(self, reason: str = "closed") -> None:
        """Cut both connections; ``on_lost`` is called unless it has been."""
        self._went(reason)

    def abandon(self) -> None:
        """Forget without a word: the owner is done with this link."""
        self._lost = True
        for wire in self._wires():
            wire.close("abandoned")

    def file_numbers(self) -> list[int]:
        """The descriptors of the sockets, for a forked child that must not share them."""
        return [wire.file_number for wire in self._wires()]

    def pushed(self, reply: Any) -> None:
        """Sort one reply of the subscription connection."""
        if isinstance(reply, list) and len(reply) == 3:
            kind, topic, payload = reply
            if kind == b"message":
                self._callbacks.on_message(topic, payload)
            elif kind == b"subscribe":
                self._callbacks.on_subscribed(topic)
        elif isinstance(reply, hiredis.ReplyError):
            # Nothing but SUBSCRIBE, UNSUBSCRIBE and PING is sent here, so an error means that the shard refuses us.
            self._went(f"the shard answered a subscription with {reply}")

    def lost(self, reason: str) -> None:
        """Hear from either wire that its socket is gone."""
        self._went(reason)

    def _went(self, reason: str) -> None:
        if self._lost:
            return
        self._lost, self._lost_by = True, reason
        for wire in self._wires():
            wire.close(reason)
        if self._introductions is None:
            self._callbacks.on_lost(reason)
            return
        for answer in self._introductions:
            if not answer.done():
                self._fail(answer)

    def _fail(self, answer: asyncio.Future[Any]) -> None:
        answer.set_exception(DialFailed(self._lost_by))
        answer.exception()  # looked at here, since whoever dials waits for one of them at a time

    def _wires(self) -> list[Wire]:
        return [wire for wire in (getattr(self, "commands", None), getattr(self, "subscriptions", None)) if wire]

    def _in_portions(self, command: str, topics: Iterable[str]) -> None:
        names = list(topics)
        for start in range(0, len(names), _NAMES_PER_COMMAND):
            self.subscriptions.write((command, *names[start : start + _NAMES_PER_COMMAND]))


async def open_link(connection: Mapping[str, Any], limit_seconds: float, callbacks: Callbacks) -> Link:
    """Find the shard's primary and connect to it twice.

    Args:
        connection: one entry of ``hosts`` in its dict form.
        limit_seconds: for all of it.
        callbacks: called from the moment this returns.

    Raises:
        DialFailed: it could not be reached, refused us, is a replica, or is two servers.
    """
    link = Link(callbacks)
    try:
        async with asyncio.timeout(limit_seconds):
            target = await find(connection, limit_seconds)
            await _connect(link, target, limit_seconds)
    except TimeoutError as error:
        link.abandon()
        raise DialFailed(f"no connection within {limit_seconds:g} s") from error
    except BaseException:
        link.abandon()
        raise
    return link


async def _connect(link: Link, target: Target, limit_seconds: float) -> None:
    link.address = target.address
    link.commands = await dial(target, limit_seconds, None, link.lost)
    # A command connection too until the first SUBSCRIBE, so it can be asked who it is; whatever comes is the answer.
    subscriptions_server, subscribed = link.introduction(), link.introduction()

    def introduced(reply: Any) -> None:
        if not subscriptions_server.done():
            _settle(subscriptions_server, reply)
        else:
            link.subscriptions.redirect_pushes(link.pushed)
            _settle(subscribed, reply)

    link.subscriptions = await dial(target, limit_seconds, introduced, link.lost)
    questions: list[tuple[str, ...]] = [("INFO", "server"), ("INFO", "replication")]
    questions += [("SCRIPT", "LOAD", script.text) for script in load().values()]
    answers = [link.introduction() for _ in questions]
    for parts, answer in zip(questions, answers, strict=True):
        link.commands.command(parts, partial(_settle, answer))
    link.subscriptions.write(("INFO", "server"))
    link.subscribe((link.first_topic,))
    server, replication, *_ = await asyncio.gather(*answers)
    if _field(server, "run_id") != _field(await subscriptions_server, "run_id"):
        raise DialFailed("its two connections led to two servers")
    if _field(replication, "role") != "master":
        raise DialFailed("the server is a replica", refused="READONLY the server is a replica")
    await subscribed
    # A server that was demoted and promoted again has its old run id, but another history.
    link.opened(f"{_field(server, 'run_id')}/{_field(replication, 'master_replid')}")


def _settle(answer: asyncio.Future[Any], reply: Any) -> None:
    if answer.done():
        return
    if isinstance(reply, hiredis.ReplyError):
        answer.set_exception(DialFailed(str(reply), refused=str(reply)))
        answer.exception()  # looked at here: of several that fail, whoever dials hears of the first only
    else:
        answer.set_result(reply)


def convert(result: Any) -> Any:
    """Turn hiredis's error into ours, and leave anything else."""
    if isinstance(result, hiredis.ReplyError):
        text = _BEFORE_CODE.sub("", str(result))
        # The first word of what somebody's SCRIPT KILL ends is ERR, in some versions with the script's name before it.
        code = "KILLED" if "Script killed by user" in text else text.partition(" ")[0]
        return ErrorAnswer(code, text)
    if isinstance(result, list):
        return [convert(one) if isinstance(one, hiredis.ReplyError) else one for one in result]
    return result


def _field(info: Any, name: str) -> str:
    for line in bytes(info).decode(errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value
    return ""
