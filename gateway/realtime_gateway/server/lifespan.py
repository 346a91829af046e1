"""The ASGI lifespan protocol: the application's start-up before the first connection, its shutdown after the last."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from realtime_gateway.errors import StartError
from realtime_gateway.server.application_run import Application

logger = logging.getLogger("realtime_gateway.server")


class Lifespan:
    """One application's lifespan.

    An application that raises on the lifespan scope, or returns without an answer, does not know the protocol and is
    served without it, as the specification asks.

    Attributes:
        state: what the application put into ``scope["state"]``; None when it does not know the protocol.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] | None = None

    async def startup(self) -> None:
        """Run the start-up.

        Raises:
            StartError: the application says that its start-up failed.
        """
        state: dict[str, Any] = {}
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
        self._task = asyncio.create_task(self._run(scope))
        answer = await self._ask("startup")
        if answer is None:
            return
        if answer["type"] == "lifespan.startup.failed":
            reason = answer.get("message") or "it gives no reason"
            raise StartError(f"The application's start-up failed: {reason}.", "Its own log may say more.")
        self.state = state

    async def shutdown(self) -> None:
        """Run the shutdown, if the application took part in the start-up."""
        if self.state is not None:
            answer = await self._ask("shutdown")
            if answer is not None and answer["type"] == "lifespan.shutdown.failed":
                logger.error("The application's shutdown failed: %s", answer.get("message") or "it gives no reason")
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, scope: dict[str, Any]) -> None:
        await self._application(scope, self._events.get, self._answers.put)

    async def _ask(self, what: str) -> dict[str, Any] | None:
        """Send one event and wait for its answer; None when the application ends instead."""
        assert self._task is not None, "startup comes first"
        await self._events.put({"type": f"lifespan.{what}"})
        answer = asyncio.create_task(self._answers.get())
        try:
            await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        failure = None if self._task.cancelled() else self._task.exception()
        if failure is not None and self.state is not None:
            logger.error("The application's lifespan failed during %s", what, exc_info=failure)
        return None
