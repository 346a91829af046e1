"""Reading a gateway's admin port: readiness and metrics."""

from __future__ import annotations

import asyncio

from realtime_gateway.console.gateway_numbers import GatewayNumbers, numbers_from
from realtime_gateway.local.plan import LOOPBACK

ANSWER_SECONDS = 2.0


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
