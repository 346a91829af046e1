"""Reading a gateway's admin port: readiness and metrics."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from realtime_gateway.console.history import Totals
from realtime_gateway.local.plan import LOOPBACK

ANSWER_SECONDS = 2.0
PREFIX = "realtime_gateway_"


@dataclass(frozen=True)
class GatewayNumbers:
    """What the table shows of a gateway's metrics.

    Attributes:
        connections: open WebSocket connections.
        epoch: of the host list in use; 0 before the channel layer was used.
        totals: what it has counted.
    """

    connections: int
    epoch: int
    totals: Totals = field(default_factory=Totals)


async def get(port: int, path: str) -> tuple[int | None, str]:
    """Return status and body of a page of an admin port; no status while it does not answer."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode())
                answer = (await reader.read()).decode(errors="replace")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None, ""
    head, _, body = answer.partition("\r\n\r\n")
    status = head.split(" ")[1:2]
    return (int(status[0]) if status and status[0].isdecimal() else None), body


async def gateway_numbers(port: int) -> GatewayNumbers | None:
    """Read the numbers of one gateway; None while it does not answer."""
    status, page = await get(port, "/metrics")
    return numbers_from(page) if status == 200 else None


def numbers_from(page: str) -> GatewayNumbers:
    """Pick the numbers out of a page in Prometheus' text format."""
    samples = {name: value for name, _, value in (line.rpartition(" ") for line in page.splitlines())}
    connections = float(samples.get('realtime_gateway_connections{protocol="websocket"}', 0))
    epoch = int(float(samples.get("realtime_gateway_layer_epoch", 0)))
    return GatewayNumbers(int(connections), epoch, _totals(samples, connections))


def _totals(samples: dict[str, str], connections: float) -> Totals:
    sums: defaultdict[str, float] = defaultdict(float)
    for name, value in samples.items():
        if name.startswith(PREFIX):
            sums[name.partition("{")[0].removeprefix(PREFIX)] += float(value)
    return Totals(
        connections,
        received=sums["messages_received_total"],
        sent=sums["messages_sent_total"],
        published=sums["layer_published_total"],
        delivered=sums["layer_delivered_total"],
    )
