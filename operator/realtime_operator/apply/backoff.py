"""Actions that failed are tried again after a while that doubles, not at every look; until then their outcome stands.

What changes the action (another manifest, another server) makes it another action, which is tried at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from realtime_operator.plan import Action, Apply, Outcome

LONGEST_SECONDS = 300.0


@dataclass(frozen=True)
class Held:
    """An action that failed.

    Attributes:
        tries: how often in a row.
        retry_at: when it may be tried again.
    """

    outcome: Outcome
    tries: int
    retry_at: float


class Backoff:
    """Which actions of one resource wait, by the clock that is handed in."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def standing(self, action: Action, now: float) -> Outcome | None:
        """The outcome that stands for an action that may not be tried yet."""
        held = self._held.get(_identity(action))
        return held.outcome if held is not None and held.retry_at > now else None

    def note(self, outcomes: Iterable[Outcome], now: float) -> None:
        """Take over how actions ended; what is not among them any more is forgotten."""
        before, self._held = self._held, {}
        for outcome in outcomes:
            if outcome.done:
                continue
            name = _identity(outcome.action)
            known = before.get(name)
            if known is not None and known.retry_at > now:
                self._held[name] = known
                continue
            tries = 1 if known is None else known.tries + 1
            seconds = LONGEST_SECONDS if outcome.permanent else min(2.0**tries, LONGEST_SECONDS)
            self._held[name] = Held(outcome, tries, now + seconds)

    def next_try(self) -> float | None:
        """When the first of them may be tried again."""
        return min((held.retry_at for held in self._held.values()), default=None)


def _identity(action: Action) -> str:
    """What makes an action the same one; of an applied object also its content, which its text does not show."""
    if isinstance(action, Apply):
        return f"{action} {sorted(action.manifest['metadata'].get('annotations', {}).items())}"
    return repr(action)
