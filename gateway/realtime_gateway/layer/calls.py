"""Calls of scripts on shards, and their answers in the machine's terms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.machine.lane import BatchSent
from realtime_gateway.layer.shard_links import ShardLinks
from realtime_gateway.layer.shards.link import ErrorAnswer
from realtime_gateway.telemetry import spans


class Calls:
    """Runs what the machine asks for.

    Args:
        links: to the shards.
        loop: whose time refusals are noted by.
        submit: takes the answers.

    Attributes:
        refusals: by shard, when it last answered with an error, and which.
    """

    def __init__(self, links: ShardLinks, loop: asyncio.AbstractEventLoop, submit: Callable[[Any], None]) -> None:
        self._links = links
        self._loop = loop
        self._submit = submit
        self.refusals: dict[str, tuple[float, str]] = {}

    def call(self, action: actions.Call) -> None:
        """Run a script; where the shard's link is down, nobody is told, since the machine knows that already."""
        link = self._links.open.get(action.shard)
        if link is None:
            return
        shard, purpose = action.shard, action.purpose
        is_timed = type(purpose) is BatchSent and spans.is_wired()
        if is_timed:
            # For traces: a loop's own clock stands still in each of its turns, and uvloop's counts milliseconds.
            purpose.sent_at = time.monotonic()

        def replied(result: Any) -> None:
            if is_timed:
                purpose.answered_at = time.monotonic()
            if type(result) is ErrorAnswer:
                self.refusals[shard] = (self._loop.time(), result.text)
            if type(result) is list:
                result = [_refusal(one) if type(one) is ErrorAnswer else one for one in result]
            self._submit(events.Replied(shard, purpose, _refusal(result) if type(result) is ErrorAnswer else result))

        link.call(action.script, action.keys, action.arguments, replied)


def _refusal(answer: ErrorAnswer) -> events.Refusal:
    return events.Refusal(answer.code, answer.text)
