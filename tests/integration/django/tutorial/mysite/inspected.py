"""The site, and one more page that says whose function Channels' dispatch awaits before each message."""

from __future__ import annotations

from typing import Any

import channels.consumer

from mysite.asgi import application as site


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http" and scope["path"] == "/dispatch":
        module = channels.consumer.aclose_old_connections.__module__
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": module.encode()})
    else:
        await site(scope, receive, send)
