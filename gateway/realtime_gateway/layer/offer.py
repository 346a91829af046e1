"""A message as the fan-out gets it, before any mailbox does: what ``RedisChannelLayer.attach`` calls with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container
from typing import TYPE_CHECKING

from realtime_gateway.layer import drops, measuring
from realtime_gateway.layer.mailboxes import Body
from realtime_gateway.layer.undelivered import Delivery
from realtime_gateway.telemetry import recorder

if TYPE_CHECKING:
    from realtime_gateway.layer.process_state import ProcessState


class Offer:
    """One message for some local channels.

    Attributes:
        body: the message; each call of its ``decode`` returns a dict that nobody else has.
        group: names its group in this process; None for a message to a single channel.
    """

    __slots__ = ("_delivery", "_ended", "_put", "_state", "body", "group")

    def __init__(
        self,
        delivery: Delivery,
        put: Callable[[Delivery, Collection[str]], None],
        ended: Callable[[Delivery], None],
        state: ProcessState,
    ) -> None:
        self.body = delivery.body
        self.group = delivery.destination if delivery.kind == "group" else None
        self._delivery = delivery
        self._put = put
        self._ended = ended
        self._state = state

    @property
    def filled(self) -> Container[str]:
        """The channels in whose mailboxes something waits."""
        return self._state.mailboxes.filled

    def put(self, channels: Collection[str], body: Body) -> None:
        """Put a message into mailboxes, now or later; it is counted as any other."""
        offered = self._delivery
        delivery = Delivery(offered.destination, offered.kind, body, offered.expires_at, len(channels))
        delivery.published_at, delivery.trace = offered.published_at, offered.trace
        self._put(delivery, channels)
        self._ended(delivery)

    def delivered(self, members: int) -> None:
        """Count those who have got it without their mailboxes, and how long that took."""
        recorder.layer_delivered.add(members, self._delivery.kind)
        measuring.delivered("direct", self._delivery.published_at, self._delivery.trace)

    def refused(self, members: int) -> None:
        """Count those who do not get it, because too much waits already."""
        drops.count("capacity", members)


# Takes a message for those of the channels that it can serve, and returns the others.
FanOut = Callable[[Offer, Collection[str]], Collection[str]]
