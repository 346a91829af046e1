"""What a key may hold, and what a server answers."""

from __future__ import annotations

from bisect import insort

Arguments = tuple[bytes, ...]
WRONG_TYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"


class RedisError(Exception):
    """An error reply."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text.decode())
        self.text = text


class Status(bytes):
    """A status reply, which a script sees as a table."""

    __slots__ = ()


OK = Status(b"OK")


class Stream:
    """Entries by id; ids are pairs of numbers, which compare as the server orders them."""

    __slots__ = ("entries", "ids", "last")

    def __init__(self) -> None:
        self.ids: list[tuple[int, int]] = []
        self.entries: dict[tuple[int, int], list[bytes]] = {}
        self.last = (0, 0)

    def copy(self) -> Stream:
        made = Stream()
        made.ids, made.entries, made.last = self.ids[:], self.entries.copy(), self.last
        return made

    def drop_oldest(self, count: int) -> None:
        for one in self.ids[:count]:
            del self.entries[one]
        del self.ids[:count]


class SortedSet:
    """Members by score, then by name."""

    __slots__ = ("order", "scores")

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}
        self.order: list[tuple[float, bytes]] = []

    def copy(self) -> SortedSet:
        made = SortedSet()
        made.scores, made.order = self.scores.copy(), self.order[:]
        return made

    def add(self, score: float, member: bytes) -> int:
        before = self.scores.get(member)
        if before is not None:
            self.order.remove((before, member))
        self.scores[member] = score
        insort(self.order, (score, member))
        return int(before is None)

    def remove(self, member: bytes) -> int:
        score = self.scores.pop(member, None)
        if score is None:
            return 0
        self.order.remove((score, member))
        return 1

    def between(self, low: bytes, high: bytes) -> list[tuple[float, bytes]]:
        return [one for one in self.order if above(one[0], low) and below(one[0], high)]


def above(score: float, bound: bytes) -> bool:
    return score > float(bound[1:]) if bound.startswith(b"(") else score >= float(bound)


def below(score: float, bound: bytes) -> bool:
    return score < float(bound[1:]) if bound.startswith(b"(") else score <= float(bound)
