"""Group changes for channels of other processes, asked for and answered through the processes' inboxes.

The owner of a channel makes it a member by itself subscribing, so that nothing is missed; the asker only learns that it
has happened. Before asking it looks whether the owner still lives, by what it last said of itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Entry, Kind
from realtime_gateway.layer.machine.actions import AnsweredRequest, Call, Dropped, Settle, Verdict
from realtime_gateway.layer.machine.events import Join, Leave, Publish, Refusal
from realtime_gateway.layer.machine.limits import Identity, Limits
from realtime_gateway.layer.machine.passing import PASSING

# A process that has just started may hand out a channel's name before its first word has reached every shard.
_GRACE_SECONDS = 2.0


class LeaseCall:
    """The purpose of looking whether a process lives."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class MemberCall:
    """The purpose of changing the normal channels of a group."""

    __slots__ = ("deadline", "event")

    def __init__(self, event: Join | Leave, deadline: float) -> None:
        self.event = event
        self.deadline = deadline


class Membership:
    """Requests to other processes, and the normal channels of groups.

    Attributes:
        publish: sends a request or an answer to another process's inbox.
        news: called with (shard, epoch, document or None) when a shard turns out to be newer, or older (None).
    """

    def __init__(self, identity: Identity, limits: Limits, hosts: HostList, emit: Callable[[Any], None]) -> None:
        self._identity = identity
        self._limits = limits
        self._hosts = hosts
        self._emit = emit
        self._links: set[str] = set()
        self._epochs: dict[str, int] = {}  # shard → the epoch to write under, while its link is fenced
        self._numbers = 0
        self._asked: dict[int, tuple[Join | Leave, float]] = {}  # request → what, deadline
        self._missing_since: dict[int, float] = {}  # request → when its owner was first found to be gone
        self._unsent: list[MemberCall] = []
        self._leases: list[int] = []
        self._called: dict[str, list[MemberCall | int]] = {}
        self.publish: Callable[[Publish], None] = lambda event: None
        self.news: Callable[[str, int, bytes | None], None] = lambda shard, epoch, document: None

    def ask(self, event: Join | Leave, now: float) -> None:
        """Ask the owner of a channel for a change."""
        self._numbers += 1
        self._asked[self._numbers] = (event, now + self._limits.send_timeout_seconds)
        self._leases.append(self._numbers)
        self._send_unsent()

    def change_normal(self, event: Join | Leave, now: float) -> None:
        """Add a normal channel to a group, or take it out."""
        self._unsent.append(MemberCall(event, now + self._limits.send_timeout_seconds))
        self._send_unsent()

    def link_up(self, shard: str) -> None:
        """Look for the owners that were to be looked for on it."""
        self._links.add(shard)
        self._send_unsent()

    def fenced(self, shard: str, epoch: int) -> None:
        """The present link may be written through: send what has waited for it."""
        self._epochs[shard] = epoch
        self._send_unsent()

    def link_down(self, shard: str) -> None:
        """What was under way is sent again: adding and removing twice does nothing."""
        self._links.discard(shard)
        self._epochs.pop(shard, None)
        for called in self._called.pop(shard, []):
            if not isinstance(called, int):
                self._unsent.append(called)
            elif called in self._asked:
                self._leases.append(called)

    def rebase(self, hosts: HostList) -> None:
        """Use a newer host list."""
        self._hosts = hosts
        self._send_unsent()

    def replied(self, shard: str, purpose: LeaseCall | MemberCall, result: Any, now: float) -> None:
        """Take the answer to a look or a change."""
        called: Any = purpose.number if isinstance(purpose, LeaseCall) else purpose
        if called in self._called.get(shard, ()):
            self._called[shard].remove(called)
        if isinstance(purpose, MemberCall):
            self._changed(shard, purpose, result)
        else:
            self._looked(purpose.number, shard, result, now)

    def received(self, entry: Entry, now: float) -> None:
        """Take a request or an answer out of this process's inbox."""
        try:
            body = json.loads(entry.body)
            number, asker = int(body["number"]), str(body["asker"])
            group = str(body.get("group", ""))
            verdict = Verdict(body.get("verdict", "done"))
        except (ValueError, KeyError, TypeError, RecursionError):
            self._emit(Dropped("malformed"))
            return
        if entry.kind == Kind.ANSWER:
            found = self._asked.pop(number, None) if asker == self._identity.process else None
            if found is not None:
                self._emit(Settle(found[0].ticket, verdict))
        else:
            self._emit(AnsweredRequest(entry.kind == Kind.JOIN, group, entry.channel, asker, number))

    def answer(self, asker: str, number: int, verdict: Verdict) -> None:
        """Answer another process's request."""
        body = json.dumps({"number": number, "asker": asker, "verdict": verdict.value}).encode()
        self.publish(Publish(-1, names.inbox(asker), Kind.ANSWER, "", b"", body))

    def tick(self, now: float) -> None:
        """Give up what has waited too long."""
        for number, (event, deadline) in list(self._asked.items()):
            if deadline <= now:
                del self._asked[number]
                unlooked = number in self._leases or any(number in called for called in self._called.values())
                if unlooked and number not in self._missing_since:
                    shard = self._hosts.owner(names.process_of(event.channel) or "").name
                    self._emit(Settle(event.ticket, Verdict.UNAVAILABLE, shard))
                else:
                    self._emit(Settle(event.ticket, Verdict.OWNER_GONE, detail="its process did not answer in time"))
                self._missing_since.pop(number, None)
                self._leases = [one for one in self._leases if one != number]
        for call in [one for one in self._unsent if one.deadline <= now]:
            self._unsent.remove(call)
            shard = self._hosts.owner(call.event.group).name
            self._emit(Settle(call.event.ticket, Verdict.UNAVAILABLE, shard))
        self._send_unsent()

    def _send_unsent(self) -> None:
        waiting, self._unsent = self._unsent, []
        for call in waiting:
            shard = self._hosts.owner(call.event.group).name
            if shard in self._epochs:
                self._change(shard, call)
            else:
                self._unsent.append(call)
        leases, self._leases = self._leases, []
        for number in leases:
            process = names.process_of(self._asked[number][0].channel) or ""
            shard = self._hosts.owner(process).name
            if shard in self._links:
                self._called.setdefault(shard, []).append(number)
                self._emit(Call(shard, "lease", (self._identity.names.process(process),), (), LeaseCall(number)))
            else:
                self._leases.append(number)

    def _change(self, shard: str, call: MemberCall) -> None:
        key_names, group = self._identity.names, call.event.group
        keys = (key_names.epoch, key_names.hosts, key_names.members(names.group(group)), key_names.groups)
        action = "add" if isinstance(call.event, Join) else "remove"
        held_elsewhere = int(any(older.owner(group).name != shard for older in self._hosts.earlier))
        expiry_ms = int(self._limits.group_expiry_seconds * 1000)
        arguments = (self._epochs[shard], action, call.event.channel, expiry_ms, group, held_elsewhere)
        self._called.setdefault(shard, []).append(call)
        self._emit(Call(shard, "member", keys, arguments, call))

    def _changed(self, shard: str, call: MemberCall, result: Any) -> None:
        if isinstance(result, Refusal) and result.code in PASSING:
            self._unsent.append(call)  # the next tick tries again
        elif isinstance(result, Refusal):
            self._emit(Settle(call.event.ticket, Verdict.REFUSED, shard, result.text))
        elif result[0] == b"OK":
            self._emit(Settle(call.event.ticket, Verdict.DONE))
        else:
            self._unsent.append(call)
            self._epochs.pop(shard, None)
            self.news(shard, int(result[1]), result[2] if result[0] == b"NEW" else None)

    def _looked(self, number: int, shard: str, result: Any, now: float) -> None:
        if number not in self._asked:
            return
        missing_since = self._missing_since.pop(number, now)
        event, _ = self._asked[number]
        if isinstance(result, Refusal) and result.code in PASSING:
            self._leases.append(number)  # the next tick tries again
        elif isinstance(result, Refusal):
            del self._asked[number]
            self._emit(Settle(event.ticket, Verdict.REFUSED, shard, result.text))
        elif not result and isinstance(event, Join) and now - missing_since < _GRACE_SECONDS:
            self._missing_since[number] = missing_since
            self._leases.append(number)  # the next tick looks again
        elif not result and isinstance(event, Leave):
            # A process that is gone has no members left.
            del self._asked[number]
            self._emit(Settle(event.ticket, Verdict.DONE))
        elif not result:
            del self._asked[number]
            self._emit(Settle(event.ticket, Verdict.OWNER_GONE, detail="its process is gone"))
        else:
            kind = Kind.JOIN if isinstance(event, Join) else Kind.LEAVE
            body = json.dumps({"number": number, "asker": self._identity.process, "group": event.group}).encode()
            process = names.process_of(event.channel) or ""
            self.publish(Publish(-1, names.inbox(process), kind, event.channel, b"", body))
