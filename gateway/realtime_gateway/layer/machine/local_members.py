"""Which destinations each channel of this process is in, or is about to be in; a follow knows the reverse."""

from __future__ import annotations

from realtime_gateway.layer.machine.follow import Follow

# A dict of one takes four times as much as a tuple, and most channels are in one group; from here on it is faster.
_FEW = 8


class LocalMembers:
    """Destinations by channel."""

    def __init__(self) -> None:
        self._destinations: dict[str, tuple[str, ...] | dict[str, None]] = {}

    def add(self, channel: str, destination: str) -> None:
        """A channel is in a destination, or is about to be."""
        known = self._destinations.get(channel, ())
        if isinstance(known, dict):
            known[destination] = None
        elif destination not in known:
            more = (*known, destination)
            self._destinations[channel] = more if len(more) <= _FEW else dict.fromkeys(more)

    def remove(self, channel: str, destination: str) -> None:
        """It no longer is."""
        known = self._destinations.get(channel, ())
        if isinstance(known, dict):
            known.pop(destination, None)
            left: tuple[str, ...] | dict[str, None] = known
        else:
            left = tuple(one for one in known if one != destination)
        if left:
            self._destinations[channel] = left
        else:
            self._destinations.pop(channel, None)

    def destinations_of(self, channel: str) -> list[str]:
        """Every destination that a channel is in, or is about to be in."""
        return list(self._destinations.get(channel, ()))


def members_since(follow: Follow, limit: float) -> list[str]:
    """The members of a destination that have been in it since before ``limit``."""
    old = []
    for channel, since in follow.members.items():  # the oldest first
        if since > limit:
            break
        old.append(channel)
    return old
