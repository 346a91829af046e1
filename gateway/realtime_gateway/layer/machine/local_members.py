"""Which destinations each channel of this process is in, or is about to be in; a follow knows the reverse."""

from __future__ import annotations

from realtime_gateway.layer.machine.follow import Follow


class LocalMembers:
    """Destinations by channel."""

    def __init__(self) -> None:
        self._destinations: dict[str, dict[str, None]] = {}

    def add(self, channel: str, destination: str) -> None:
        """A channel is in a destination, or is about to be."""
        self._destinations.setdefault(channel, {})[destination] = None

    def remove(self, channel: str, destination: str) -> None:
        """It no longer is."""
        destinations = self._destinations.get(channel)
        if destinations is not None:
            destinations.pop(destination, None)
            if not destinations:
                del self._destinations[channel]

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
