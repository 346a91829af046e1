"""Reading pages over HTTP/1.0, from ports of processes that may be gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from realtime_gateway.console.trace_tree import spans_in
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.telemetry.recent import RecentSpan

ANSWER_SECONDS = 2.0
MOST_BYTES = 32 * 1024 * 1024


async def read_page(url: str) -> Any | None:
    """Return what a page says; None while nobody answers, or not with JSON."""
    body = await read_bytes(url)
    try:
        return None if body is None else json.loads(body)
    except (ValueError, RecursionError):
        return None


async def read_bytes(url: str) -> bytes | None:
    """Return a page as it comes; None while nobody answers, or not with 200."""
    status, body = await read_answer(url)
    return body if status == 200 else None


async def read_answer(url: str) -> tuple[int | None, bytes]:
    """Return status and body of a page; no status while nobody answers, or with more than MOST_BYTES."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
                answer = await _until_the_end(reader)
            finally:
                writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head.split(b" ")[1:2]
        return (int(status[0]), body) if status else (None, b"")
    except (OSError, TimeoutError, ValueError):
        return None, b""


async def _until_the_end(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while part := await reader.read(65_536):
        answer += part
        if len(answer) > MOST_BYTES:
            raise ValueError("the page is too long")
    return bytes(answer)


async def read_spans(bases: Iterable[str], trace_id: str | None) -> tuple[list[RecentSpan], list[Any]]:
    """Ask all admin ports at once for a trace, or for their newest spans; return the spans, and the pages that came.

    A process that has no name is called by its port's address.
    """
    bases = tuple(bases)
    query = "" if trace_id is None else f"?trace_id={trace_id}"
    answers = await asyncio.gather(*(read_page(f"{base}/traces{query}") for base in bases))
    pages = [
        {**page, "process": page.get("process") or urlsplit(base).netloc}
        for base, page in zip(bases, answers, strict=True)
        if isinstance(page, dict)
    ]
    return spans_in(pages), pages


def checked_base(url: str) -> str:
    """Return an admin port's URL without what follows the port.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname and parts.port != 0:
            return f"http://{parts.netloc}"
    except ValueError:
        pass
    raise ConfigurationError(f"{url!r} is no URL of an admin port.", "Give it as http://127.0.0.1:8001.")
