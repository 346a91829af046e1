"""Answer each WebSocket message, and each plain GET, with this pod's name: the smallest thing to route to."""

import asyncio
import os
import signal
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

POD = os.uname().nodename


def answer_plain_get(connection: ServerConnection, request: Request) -> Response | None:
    if "Upgrade" in request.headers:
        return None
    return connection.respond(HTTPStatus.OK, f"{POD}\n")


async def answer(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(f"{POD}: {message!s}")


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with serve(answer, "0.0.0.0", 8000, process_request=answer_plain_get):
        print("listening", flush=True)
        await stop.wait()


asyncio.run(main())
