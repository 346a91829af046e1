"""Clients of the site that do a bit of everything, from a thread of their own, until they are told to stop."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from contextlib import AsyncExitStack, suppress
from types import TracebackType

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

ORIGIN = "http://chat.example"
ROOMS = 8
# As much as a machine with other work does without noticing.
PAUSE_SECONDS = 0.05


class Load:
    """Load on a few gateways.

    Args:
        urls: of the gateways' WebSockets.
    """

    def __init__(self, *urls: str) -> None:
        self._urls = urls
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self.failure: BaseException | None = None

    async def _run(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                members = [await stack.enter_async_context(self._client(url)) for url in self._urls for _ in range(3)]
                readers = [asyncio.create_task(_read(member)) for member in members]
                for number in itertools.count():
                    if self._stop.is_set():
                        break
                    await self._once(members, number)
                    await asyncio.sleep(PAUSE_SECONDS)
                for reader in readers:
                    reader.cancel()
        except BaseException as error:
            self.failure = error
            raise

    async def _once(self, members: list[ClientConnection], number: int) -> None:
        member, url = members[number % len(members)], self._urls[number % len(self._urls)]
        await member.send(json.dumps({"to": f"room{number % ROOMS}", "text": "hello"}))
        if number % 5 == 0:
            await member.send(json.dumps({"to": "worker"}))
        if number % 20 == 1:
            await self._visit(url, "nobody")
        if number % 20 == 2:
            await self._refused(url + "/room/", "http://evil.example")
        if number % 20 == 3:
            await self._refused(url + "/broken/", ORIGIN)
        if number % 20 == 4:
            await self._visit(url, "x" * 70_000)  # more than a message may have

    async def _visit(self, url: str, to: str) -> None:
        """Come, say something that ends the connection, and go."""
        async with self._client(url) as visitor:
            with suppress(ConnectionClosed):
                await visitor.send(json.dumps({"to": to, "text": ""}))
                await _read(visitor)

    async def _refused(self, url: str, origin: str) -> None:
        with suppress(InvalidHandshake, ConnectionClosed):
            async with connect(url, additional_headers={"Origin": origin}, proxy=None):
                raise AssertionError("it was let in")

    def _client(self, url: str) -> connect:
        return connect(url + "/room/", additional_headers={"Origin": ORIGIN}, proxy=None)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(30)


async def _read(client: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in client:
            pass
