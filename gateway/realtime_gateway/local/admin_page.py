"""Reading a gateway's admin port: readiness and metrics."""

from __future__ import annotations

from realtime_gateway.console import pages
from realtime_gateway.console.gateway_numbers import GatewayNumbers, numbers_from
from realtime_gateway.local.plan import LOOPBACK


async def get(port: int, path: str) -> tuple[int | None, str]:
    """Return status and body of a page of an admin port; no status while it does not answer."""
    status, body = await pages.read_answer(f"http://{LOOPBACK}:{port}{path}")
    return status, body.decode(errors="replace")


async def gateway_numbers(port: int) -> GatewayNumbers | None:
    """Read the numbers of one gateway; None while it does not answer."""
    status, page = await get(port, "/metrics")
    return numbers_from(page) if status == 200 else None
