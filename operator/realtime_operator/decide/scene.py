"""One shard and what its Sentinels say of it: the questions that the repair table asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from realtime_operator.sentinel_terms import quorum
from realtime_operator.snapshot import Address, Member, Monitored, Role, Sentinel, Server, Shard, Unknown


@dataclass(frozen=True)
class Scene:
    """One shard and what its Sentinels say of it.

    Attributes:
        held: how long a fact has held, in seconds.
    """

    shard: Shard
    sentinels: tuple[Sentinel, ...]
    held: Callable[[str], float]

    @property
    def servers(self) -> dict[Address, Server]:
        """Servers that answered, by their announced address."""
        return {
            member.address: member.server
            for member in self.shard.members
            if member.address is not None and isinstance(member.server, Server)
        }

    @property
    def primaries(self) -> tuple[Address, ...]:
        """Addresses of servers that say they are primaries."""
        return tuple(address for address, server in self.servers.items() if server.role is Role.PRIMARY)

    @property
    def unseen(self) -> tuple[Member, ...]:
        """Members that could not be asked, whether they run or not."""
        return tuple(member for member in self.shard.members if not isinstance(member.server, Server))

    @property
    def silent_sentinels(self) -> tuple[Sentinel, ...]:
        """Sentinels that did not answer."""
        return tuple(sentinel for sentinel in self.sentinels if isinstance(sentinel.answers, Unknown))

    def answer(self, sentinel: Sentinel) -> Monitored | None:
        """What a Sentinel says of this shard; None when it does not answer or was not told of it."""
        return None if isinstance(sentinel.answers, Unknown) else sentinel.answers.get(self.shard.master_name)

    @property
    def votes(self) -> Counter[Address]:
        """How many Sentinels name each address as the primary."""
        answers = (self.answer(sentinel) for sentinel in self.sentinels)
        return Counter(answer.primary for answer in answers if answer is not None)

    @property
    def agreed(self) -> Address | None:
        """The address that more than half of all Sentinels name."""
        return next((address for address, votes in self.votes.items() if votes >= quorum(len(self.sentinels))), None)

    @property
    def contradicted(self) -> bool:
        """Whether Sentinels know something, but nothing that could be acted on."""
        if not self.votes or self.agreed is not None or self.failing_over:
            return False
        return len(self.votes) > 1 or next(iter(self.votes)) not in self.primaries

    @property
    def failing_over(self) -> bool:
        """Whether a Sentinel is in the middle of a failover."""
        answers = (self.answer(sentinel) for sentinel in self.sentinels)
        return any(answer is not None and answer.failover_in_progress for answer in answers)

    def fact(self, what: str) -> str:
        """The name of a fact about this shard."""
        return f"{self.shard.name}: {what}"
