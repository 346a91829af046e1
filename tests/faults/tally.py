"""Counting: what was sent, what came, what is missing, came again, or came in the wrong order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Sent:
    """What one process sent to one destination, numbered from 0.

    Attributes:
        failed: number → the error that its sender got and after how many seconds; every other one was acknowledged.
    """

    sender: str
    destination: str
    issued: int
    failed: Mapping[int, tuple[str, float]]


@dataclass(frozen=True)
class Received:
    """What one member received, or all who take from one queue.

    Attributes:
        destinations: what it is a member of, from before the first message to the end.
        arrivals: destination → sender → numbers, in the order of arrival.
        raised: what `receive()` raised.
        told: destinations that its process was told of that messages may be missing.
        alarms: how often it was told of missing messages.
        silence: destination → when its longest silence between two messages began and ended.
        shared: it is a queue, of which each message is somebody's and no order is promised.
    """

    channel: str
    destinations: frozenset[str]
    arrivals: Mapping[str, Mapping[str, Sequence[int]]]
    raised: Sequence[str] = ()
    told: frozenset[str] = frozenset()
    alarms: int = 0
    silence: Mapping[str, tuple[float, float]] | None = None
    shared: bool = False


@dataclass(frozen=True)
class Tally:
    """The columns of the table.

    Attributes:
        lost: acknowledged, not received by a member, and its process was not told.
        missed: the same, whether told or not.
        told: how often members were told of missing messages.
        taken: of queues.
        twice: taken from a queue again.
        silence: the longest, in seconds.
    """

    sent: int
    acknowledged: int
    delivered: int
    lost: int
    missed: int
    duplicated: int
    disordered: int
    raised: int
    told: int
    taken: int
    twice: int
    silence_seconds: float

    def line(self) -> str:
        """One row of the table."""
        return (
            f"{self.sent:8,} {self.acknowledged:8,} {self.sent - self.acknowledged:6} "
            f"{self.delivered:9,} {self.lost:4} {self.missed:6} "
            f"{self.duplicated:10} {self.disordered:12} {self.raised:6} {self.told:4} {self.taken:7,} {self.twice:5} "
            f"{self.silence_seconds:8.2f} s"
        )


HEAD = (
    f"{'sent':>8} {'acknowl.':>8} errors {'delivered':>9} lost missed duplicated out of order raised told "
    f"{'taken':>7} twice {'silence':>10}  by Sentinel"
)


def count(sent: Iterable[Sent], received: Iterable[Received]) -> Tally:
    """Compare everything sent with everything received."""
    streams, members = list(sent), list(received)
    delivered = lost = missed = duplicated = disordered = taken = twice = 0
    for member in members:
        for stream in (one for one in streams if one.destination in member.destinations):
            numbers = member.arrivals.get(stream.destination, {}).get(stream.sender, ())
            missing = set(range(stream.issued)) - set(stream.failed) - set(numbers)
            if member.shared:
                taken += len(set(numbers))
                twice += len(numbers) - len(set(numbers))
            else:
                delivered += len(set(numbers))
                duplicated += len(numbers) - len(set(numbers))
                disordered += _out_of_order(numbers)
            missed += len(missing)
            lost += 0 if stream.destination in member.told else len(missing)
    silences = [end - begin for member in members for begin, end in (member.silence or {}).values()]
    return Tally(
        sent=sum(stream.issued for stream in streams),
        acknowledged=sum(stream.issued - len(stream.failed) for stream in streams),
        delivered=delivered,
        lost=lost,
        missed=missed,
        duplicated=duplicated,
        disordered=disordered,
        raised=sum(len(member.raised) for member in members),
        told=sum(member.alarms for member in members),
        taken=taken,
        twice=twice,
        silence_seconds=max(silences, default=0.0),
    )


def _out_of_order(numbers: Sequence[int]) -> int:
    """How many arrived after a later one, not counting those that had arrived before."""
    first = list(dict.fromkeys(numbers))
    return sum(number < highest for number, highest in zip(first, accumulate(first, max), strict=True))
