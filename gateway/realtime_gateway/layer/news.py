"""What happens to shards and host lists: said in the log, and to the channels of this process that want to know."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from realtime_gateway.layer import drops, names
from realtime_gateway.layer.machine import actions
from realtime_gateway.layer.process_state import ProcessState, Ready
from realtime_gateway.telemetry import recorder

log = logging.getLogger("realtime_gateway.layer")


class News:
    """Tells it.

    Args:
        state: of the process whose channels are told.
        loop: by whose time notices expire.
    """

    def __init__(self, state: ProcessState, loop: asyncio.AbstractEventLoop) -> None:
        self._state = state
        self._loop = loop

    def adopted(self, action: actions.Adopted) -> None:
        """Another host list is in use."""
        log.info(
            "the host list of epoch %s is in use, with the shards %s",
            action.hosts.epoch, ", ".join(shard.name for shard in action.hosts.shards),
        )  # fmt: skip
        recorder.layer_epoch.set(action.hosts.epoch)

    def lost(self, action: actions.Lost) -> None:
        """Something that was sent here may never come."""
        drops.count("lost", len(action.destinations))
        self._state.mailboxes.tell_watched(lost=True)
        named = ", ".join(map(self._state.group_names.inside, action.destinations[:5]))
        log.warning("messages to %s may be missing here: %s", named, action.reason)

    def disconnected(self, action: actions.Disconnected) -> None:
        """A shard is away."""
        if self._state.options.on_disconnect:
            self._tell_everyone({"type": self._state.options.on_disconnect, "shard": action.shard})

    def reconnected(self, action: actions.Reconnected) -> None:
        """A shard is back, and what was missed has been read, or is lost."""
        self._state.mailboxes.tell_watched(lost=bool(action.lost))
        if self._state.options.on_reconnect:
            groups = [self._state.group_names.inside(one) for one in action.destinations if one[0] == names.GROUP]
            message = {"type": self._state.options.on_reconnect, "shard": action.shard}
            self._tell_everyone({**message, "lost": bool(action.lost), "groups": groups})

    def _tell_everyone(self, message: dict[str, Any]) -> None:
        expires_at = self._loop.time() + self._state.options.expiry
        for channel in self._state.mailboxes:
            box = self._state.mailboxes.get(channel)
            if box is None or names.process_of(channel) is None:
                continue
            if not box.put_notice(Ready(message), expires_at):
                drops.count("capacity")
