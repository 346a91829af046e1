"""Each handler runs in the context of its own message, and in nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import channels.consumer
import channels.utils
import pytest
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.exceptions import StopConsumer
from channels.testing import ApplicationCommunicator
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from realtime_gateway.consumers import handler_context
from realtime_gateway.telemetry.spans import TracedMessage

KEY = "who"


@pytest.fixture(autouse=True)
def patched() -> Iterator[None]:
    handler_context.apply()
    yield
    handler_context.remove()
    assert channels.consumer.await_many_dispatch is channels.utils.await_many_dispatch


async def tell(consumer: Any, message: dict[str, Any]) -> None:
    await consumer.send({"type": "told", "who": otel_context.get_value(KEY), "kind": message["type"]})


class Asynchronous(AsyncConsumer):
    async def ask(self, message: dict[str, Any]) -> None:
        await tell(self, message)

    async def end(self, message: dict[str, Any]) -> None:
        raise StopConsumer


class Overridden(Asynchronous):
    async def dispatch(self, message: dict[str, Any]) -> None:
        await super().dispatch(message)


class InThreads(SyncConsumer):
    def ask(self, message: dict[str, Any]) -> None:
        self.send({"type": "told", "who": otel_context.get_value(KEY), "kind": message["type"]})

    def end(self, message: dict[str, Any]) -> None:
        raise StopConsumer


@pytest.mark.parametrize("consumer", [Asynchronous, Overridden, InThreads])
async def test_a_handler_finds_the_context_of_its_message(consumer: type[AsyncConsumer]) -> None:
    communicator = ApplicationCommunicator(consumer.as_asgi(), {"type": "websocket"})
    for who in ("anna", None, "bert"):
        message: dict[str, Any] = {"type": "ask"}
        if who is not None:
            message = TracedMessage(message, Context({KEY: who}))
        await communicator.send_input(message)
        assert await communicator.receive_output() == {"type": "told", "who": who, "kind": "ask"}
    await communicator.send_input({"type": "end"})
    await communicator.wait()


async def test_a_message_without_a_context_costs_no_coroutine() -> None:
    seen = []

    def dispatch(message: dict[str, Any]) -> Any:
        seen.append(message)
        raise StopConsumer

    async def receive() -> dict[str, Any]:
        return {"type": "ask"}

    with pytest.raises(StopConsumer):
        await handler_context.await_many_dispatch([receive], dispatch)
    assert seen == [{"type": "ask"}]
