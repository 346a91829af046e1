"""Talking through processes that trace, and reading the spans that come of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from tests.support.serve_process import ServeProcess
from tests.support.trace_receiver import ReceivedSpan

APPLICATIONS = Path(__file__).parents[1] / "integration" / "telemetry" / "applications"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_SAMPLED = PARENT[:-2] + "00"

Serve = Callable[..., ServeProcess]


def client(process: ServeProcess, path: str, **headers: str) -> connect:
    return connect(process.websocket_url + path, additional_headers=headers, proxy=None)


async def say(sender: ClientConnection, text: str, *receivers: ClientConnection) -> None:
    """Send a message and wait until everybody has it."""
    await sender.send(text)
    for receiver in receivers:
        assert text in str(await receiver.recv())


@contextmanager
def running_worker(environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", "import traced; traced.run_worker()"], cwd=APPLICATIONS, env=environment
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def one(spans: list[ReceivedSpan], name: str, process: str) -> ReceivedSpan:
    found = [span for span in spans if span.name == name and span.process["service.instance.id"] == process]
    assert len(found) == 1, f"{name} of {process}: {[span.name for span in spans]}"
    return found[0]


def messages(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    """Return the spans of messages: without handshakes and what their handlers do."""
    handshakes = {span.span_id for span in spans if span.name == "GET"}
    return [span for span in spans if not handshakes & {span.span_id, span.parent_id}]


def way_to(name: str, spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
    """Return the newest span of a name with all that led to it, the first one first."""
    by_id = {span.span_id: span for span in spans}
    way = [next(span for span in reversed(spans) if span.name == name)]
    while way[0].parent_id in by_id:
        way.insert(0, by_id[way[0].parent_id])
    return way
