"""What the page asks for: its own files, and what it shows as JSON.

/api/state            the names of all resources; of one: processes, shards, epochs, and the last minutes' rates
/api/traces           the newest traces, a line each; ?trace_id= asks for the spans of one, as each process tells them
/api/ring             who owns how much; ?shards=N also what a roll to N shards would move

?resource= says which resource is meant, and without it it is the first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from importlib import resources
from typing import Any, Protocol

from realtime_gateway.console.pages import read_spans
from realtime_gateway.console.recent_traces import recent_traces
from realtime_gateway.console.ring import ring
from realtime_gateway.console.web import Answer, Request
from realtime_gateway.hosts import Shard
from realtime_gateway.telemetry.recent import TRACE_ID

CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
MOST_SHARDS = 64


class Source(Protocol):
    """Who knows what runs of one resource."""

    async def state(self) -> Mapping[str, Any]:
        """Return what runs now, as JSON has it."""
        ...

    def admin_ports(self) -> Mapping[str, str]:
        """Return the URLs of the processes' admin ports, by process."""
        ...

    def lists(self, shards: int | None) -> tuple[Sequence[Shard], Sequence[Shard]] | None:
        """Return the shards now, and with another number of them; without one, before and after the roll under way.

        None where nobody can say what the shards would be called.
        """
        ...


class Site:
    """Answers requests.

    Args:
        sources: asked at each request: a source for each resource, by what people call it.
    """

    def __init__(self, sources: Callable[[], Mapping[str, Source]]) -> None:
        self._sources = sources
        folder = resources.files("realtime_gateway.console") / "page"
        self._files = {
            f"/{file.name}": Answer(file.read_bytes(), CONTENT_TYPES[file.name.rpartition(".")[2]])
            for file in folder.iterdir()
            if file.name.rpartition(".")[2] in CONTENT_TYPES
        }
        self._files["/"] = self._files.get("/index.html", Answer(b"", status=HTTPStatus.NOT_FOUND))

    async def handle(self, request: Request) -> Answer:
        """Answer one request."""
        if request.path in self._files:
            return self._files[request.path]
        sources = self._sources()
        name = request.query.get("resource") or next(iter(sources), "")
        source = sources.get(name)
        match request.path:
            case "/api/state":
                state = {"name": None} if source is None else await source.state()
                return _json({"resources": list(sources), "resource": name, **state})
            case "/api/traces" if source is not None:
                return await _traces(source, request.query.get("trace_id"))
            case "/api/ring" if source is not None:
                return _ring(source, request.query.get("shards"))
        return Answer(b"There is no such page.\n", status=HTTPStatus.NOT_FOUND)


async def _traces(source: Source, trace_id: str | None) -> Answer:
    if trace_id is not None and not TRACE_ID.fullmatch(trace_id):
        return _bad("trace_id has 32 hexadecimal digits.")
    spans, pages = await read_spans(source.admin_ports().values(), trace_id)
    if trace_id is not None:
        return _json({"pages": pages})
    return _json({"traces": recent_traces(spans), "kept": any(page.get("keeps") for page in pages)})


def _ring(source: Source, shards: str | None) -> Answer:
    number = None if shards is None else int(shards) if shards.isdecimal() and len(shards) < 4 else 0
    if number is not None and not 1 <= number <= MOST_SHARDS:
        return _bad(f"shards is a number from 1 to {MOST_SHARDS}.")
    lists = source.lists(number)
    if lists is None:
        return _bad("What other shards would be called is not known here.")
    return _json(ring(*lists))


def _json(value: Any) -> Answer:
    return Answer(json.dumps(value).encode(), "application/json")


def _bad(words: str) -> Answer:
    return Answer(words.encode() + b"\n", status=HTTPStatus.BAD_REQUEST)
