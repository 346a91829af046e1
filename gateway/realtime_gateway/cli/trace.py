"""`realtime-gateway trace URL|NAME`: send one message through a running gateway, and print its way with times."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from realtime_gateway.console.pages import checked_base, read_page, read_spans
from realtime_gateway.console.probe import Probe, origin_of, sent, websocket_url
from realtime_gateway.console.trace_lines import lines
from realtime_gateway.console.trace_tree import spans_in, tree, unhandled
from realtime_gateway.errors import ConfigurationError, StartError
from realtime_gateway.local.options import DIRECTORIES
from realtime_gateway.local.run_file import read_run_file
from realtime_gateway.telemetry.crowd import DETAILED
from realtime_gateway.telemetry.recent import RecentSpan

TEXT = json.dumps({"message": "realtime-gateway trace"})
WAIT_SECONDS = 5.0
LOOK_SECONDS = 0.1
# A trace is taken for whole when nothing has been added to it for so long, and all who got the message have handled it.
QUIET_SECONDS = 0.6


@dataclass(frozen=True)
class Source:
    """Where spans are read.

    Attributes:
        bases: URLs of admin ports; without any, ``console`` is asked.
        console: the URL of the console of a run of `up`, which knows all processes of the run.
    """

    bases: tuple[str, ...] = ()
    console: str = ""

    async def read(self, trace_id: str) -> tuple[list[RecentSpan], list[Any]]:
        """Return a trace's spans, and the pages that were answered."""
        if self.bases:
            return await read_spans(self.bases, trace_id)
        answer = await read_page(f"{self.console}api/traces?trace_id={trace_id}")
        pages = answer.get("pages", []) if isinstance(answer, dict) else []
        return spans_in(pages), pages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "target", metavar="URL|NAME", help="a WebSocket's URL, or the name of a run of `up` in this directory"
    )
    parser.add_argument("--path", help="with a NAME: the path of the WebSocket (default /)")
    parser.add_argument(
        "--admin", action="append", default=[], metavar="URL", help="with a URL: an admin port; once for each process"
    )
    parser.add_argument("--text", default=TEXT, help=f"the message (default {TEXT})")
    parser.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="of the handshake")
    parser.add_argument("--subprotocol", action="append", default=[], metavar="NAME", help="offer it; in order")
    parser.add_argument("--cafile", metavar="FILE", help="of the authorities trusted for wss://, in PEM form")
    parser.add_argument("--origin", help="of the handshake (default: that of the URL; empty for none)")
    parser.add_argument(
        "--wait", type=_seconds, default=WAIT_SECONDS, metavar="SECONDS", help="for the spans, at most (default 5)"
    )
    parser.add_argument("--json", action="store_true", help="print the spans as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Send the message and print its trace.

    Raises:
        ConfigurationError: the command line, or the gateway's answer to it.
        StartError: somebody does not answer.
    """
    message, source = plan(arguments)
    spans = asyncio.run(trace(message, source, arguments.wait))
    if missing := unhandled(spans):
        # Those beyond the first few are told of when the last of them is done.
        most = f"up to {missing}" if missing > 1 and _has_crowd(spans) else missing
        within = f"within {arguments.wait:g} s"
        print(f"Of those who got the message {most} have not been seen to handle it {within}.", file=sys.stderr)
    if arguments.json:
        print(json.dumps([asdict(span) for span in spans], indent=2))
    else:
        print("\n".join(lines(tree(spans))))
    return 0


def plan(arguments: argparse.Namespace) -> tuple[Probe, Source]:
    """Return what to send, and where to read; raises as ``run`` does."""
    if "://" in arguments.target:
        if arguments.path is not None:
            raise ConfigurationError(
                "A URL has its own path, and --path is for a NAME.", "Write the path into the URL."
            )
        url = websocket_url(arguments.target)
        if not arguments.admin:
            raise ConfigurationError(
                "Where are the spans to be read?", "Name each process's admin port: --admin http://127.0.0.1:8001."
            )
        source = Source(tuple(checked_base(base) for base in arguments.admin))
    else:
        if arguments.admin:
            raise ConfigurationError("A run of `up` knows its admin ports, and --admin is for a URL.", "Leave it out.")
        found = read_run_file(Path(arguments.target) if "/" in arguments.target else DIRECTORIES / arguments.target)
        url = websocket_url(found.url.rstrip("/") + "/" + (arguments.path or "/").lstrip("/"))
        source = Source(console=found.console)
    origin = origin_of(url) if arguments.origin is None else arguments.origin or None
    headers = tuple(map(_header, arguments.header))
    subprotocols = tuple(arguments.subprotocol)
    if arguments.cafile is not None and not url.startswith("wss:"):
        raise ConfigurationError("--cafile is for wss://, and this is ws://.", "Leave it out, or correct the URL.")
    trace_id = secrets.token_hex(16)
    return Probe(url, arguments.text, trace_id, headers, origin, subprotocols, arguments.cafile), source


async def trace(message: Probe, source: Source, wait_seconds: float) -> list[RecentSpan]:
    """Send a message, and return the spans that came of it; raises as ``run`` does."""
    async with sent(message) as closed_with:
        spans, pages = await _until_whole(source, message.trace_id, wait_seconds)
        code = closed_with()
    if code is not None and not _is_received(spans):
        raise StartError(
            f"The gateway has closed the WebSocket with {code} and taken no message.",
            "The consumer's connect() or a limit did that: the handshake may need a login (--header) or another path.",
        )
    if code is not None:
        # What it was closed for may be the message itself, which its trace does not say.
        print(f"The gateway has taken the message, and closed the WebSocket with {code}.", file=sys.stderr)
    if not pages:
        where = ", ".join(source.bases) or source.console
        raise StartError(f"The message was sent, but nobody tells its spans: {where} does not answer.")
    if spans:
        return spans
    if not any(page.get("keeps") for page in pages if isinstance(page, dict)):
        raise ConfigurationError(
            "The message was sent, but no process keeps spans.",
            "Set telemetry.recentSpans in the resource, or REALTIME_GATEWAY_RECENT_SPANS for a process.",
        )
    raise StartError(
        f"The message was sent, but no process has traced it within {wait_seconds:g} s.",
        f"Are these the admin ports of {urlsplit(message.url).netloc}? A proxy may take the traceparent away.",
    )


async def _until_whole(source: Source, trace_id: str, wait_seconds: float) -> tuple[list[RecentSpan], list[Any]]:
    deadline = time.monotonic() + wait_seconds
    known, changed_at = 0, time.monotonic()
    while True:
        spans, pages = await source.read(trace_id)
        now = time.monotonic()
        if len(spans) != known:
            known, changed_at = len(spans), now
        # The handshake and its handler come first, and are not yet what was asked for.
        is_quiet = _is_received(spans) and now - changed_at >= QUIET_SECONDS
        if now >= deadline or (is_quiet and not unhandled(spans)):
            return spans, pages
        await asyncio.sleep(LOOK_SECONDS)


def _is_received(spans: list[RecentSpan]) -> bool:
    return any(span.name == "websocket receive" for span in spans)


def _has_crowd(spans: list[RecentSpan]) -> bool:
    members = (span.attributes.get("realtime_gateway.fan_out") for span in spans)
    return any(isinstance(count, int) and count > DETAILED for count in members)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or any(ord(each) < 32 for each in text):
        raise ConfigurationError(f"{text!r} is no header.", "Write it as 'Name: value'.")
    return name.strip(), value.strip()


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{word!r} is no number of seconds from 0 to 3600")
    return seconds
