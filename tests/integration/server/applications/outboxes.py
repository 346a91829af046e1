"""An application that writes to its outbox what its client tells it to, as a list of steps in JSON."""

from __future__ import annotations

import json
from typing import Any

from realtime_gateway.server.outbox import SCOPE_KEY

TEXT = "☕" * 10


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "websocket"
    outbox = scope["extensions"][SCOPE_KEY]
    await receive()
    said: list[Any] = [outbox.write(outbox.encode(b"too early", False))]
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        for step in json.loads(message["text"]):
            match step:
                case "write":
                    said.append(outbox.write(outbox.encode(TEXT.encode(), False)))
                case "write two":
                    said.append(outbox.write(outbox.encode(b"one", True) + outbox.encode(b"two", False)))
                case "fill":
                    said.append(fill(outbox))
                case "send":
                    await send({"type": "websocket.send", "text": "sent"})
                case "close":
                    await send({"type": "websocket.close", "code": 4000})
                case "encoding":
                    await send({"type": "websocket.send", "text": str(outbox.encoding)})
                case "say":
                    await send({"type": "websocket.send", "text": json.dumps(said)})
    said.append(outbox.write(outbox.encode(b"too late", False)))
    print("after the end:", said[-1], flush=True)


def fill(outbox: Any) -> int:
    """Write until it is refused; return how many frames of 1 KiB that were."""
    frame = outbox.encode(b"x" * 1024, True)
    count = 0
    while outbox.write(frame):
        count += 1
    return count
