"""The site, and one more page that says whose functions Channels calls for each message."""

from __future__ import annotations

from typing import Any

import channels.consumer
import channels.sessions

from mysite.asgi import application as site


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http" and scope["path"] == "/dispatch":
        called = (
            channels.consumer.aclose_old_connections,
            channels.consumer.await_many_dispatch,
            channels.sessions.InstanceSessionWrapper.send,
        )
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": " ".join(each.__module__ for each in called).encode()})
    else:
        await site(scope, receive, send)
