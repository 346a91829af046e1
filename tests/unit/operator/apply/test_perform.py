"""Actions of a plan, carried out one after the other."""

from __future__ import annotations

from typing import Any

from realtime_operator import recording
from realtime_operator.apply.backoff import Backoff
from realtime_operator.apply.perform import Means, perform
from realtime_operator.kube.errors import KubeError
from realtime_operator.plan import Evict


class Refusing:
    """In a client's place: a server that is away."""

    tries = 0

    async def evict(self, *_: object) -> None:
        self.tries += 1
        raise KubeError(503, "away")


def refused() -> float:
    samples = [sample for metric in recording.REGISTRY.collect() for sample in metric.samples]
    return sum(
        sample.value
        for sample in samples
        if sample.name.endswith("actions_total") and sample.labels == {"action": "Evict", "result": "refused"}
    )


async def test_an_action_is_counted_when_it_is_tried_and_not_while_it_waits() -> None:
    anything: Any = None
    client: Any = Refusing()
    means = Means(client, anything, anything, Backoff(), lambda: True, str)
    target: Any = type("Target", (), {"namespace": "talk"})
    evict, before = Evict("chat-redis-0", "1"), refused()
    for seconds in (0.0, 0.5, 1.0):
        [outcome] = await perform(target, [evict], means, lambda now=seconds: now)
        assert not outcome.done
    assert (client.tries, refused() - before) == (1, 1)
    await perform(target, [evict], means, lambda: 10.0)
    assert (client.tries, refused() - before) == (2, 2)
