"""Pure. What is shown of a gateway, picked out of its metrics."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from realtime_gateway.console.history import Totals

PREFIX = "realtime_gateway_"


@dataclass(frozen=True)
class GatewayNumbers:
    """What is shown of a gateway's metrics.

    Attributes:
        connections: open WebSocket connections.
        epoch: of the host list in use; 0 before the channel layer was used.
        totals: what it has counted.
    """

    connections: int
    epoch: int
    totals: Totals = field(default_factory=Totals)


def numbers_from(page: str) -> GatewayNumbers:
    """Pick the numbers out of a page in Prometheus' text format; a line that is none is left out."""
    samples: dict[str, float] = {}
    for line in page.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith(PREFIX):
            try:
                samples[name.removeprefix(PREFIX)] = float(value)
            except ValueError:
                continue
    connections = samples.get('connections{protocol="websocket"}', 0.0)
    return GatewayNumbers(int(connections), int(samples.get("layer_epoch", 0)), _totals(samples, connections))


def _totals(samples: dict[str, float], connections: float) -> Totals:
    sums: defaultdict[str, float] = defaultdict(float)
    for name, value in samples.items():
        sums[name.partition("{")[0]] += value
    return Totals(
        connections,
        received=sums["messages_received_total"],
        sent=sums["messages_sent_total"],
        published=sums["layer_published_total"],
        delivered=sums["layer_delivered_total"],
    )
