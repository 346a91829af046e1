"""Where the access log goes, and how its lines look: as Daphne writes them, or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any, TextIO

from daphne.access import AccessLogGenerator

from realtime_gateway.errors import ConfigurationError

ActionLogger = Callable[[str, str, dict[str, Any]], None]


class JsonAccessLog:
    """Writes one JSON object per line: ``time`` (UTC), ``protocol``, ``event``, and what is known of it.

    Of a request ``client``, ``method``, ``path``, ``status``, ``bytes`` and ``seconds``; of a WebSocket ``client`` and
    ``path``, and at its end the close ``code`` that the application heard.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        """Write an entry; called by the server."""
        if protocol == "http" and action != "complete":
            return
        names = {"size": "bytes", "time_taken": "seconds"}
        known = {names.get(name, name): value for name, value in details.items()}
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._stream.write(json.dumps({"time": time, "protocol": protocol, "event": action, **known}) + "\n")


FORMATS: dict[str, Callable[[TextIO], ActionLogger]] = {"text": AccessLogGenerator, "json": JsonAccessLog}


@contextmanager
def access_log(target: str | None, form: str, *, by_default: bool) -> Iterator[ActionLogger | None]:
    """Yield what the server calls for each entry, or None.

    Args:
        target: a file to append to; ``-`` is stdout; None is stdout or nothing, by default.
        form: one of FORMATS.
        by_default: whether None means stdout.

    Raises:
        ConfigurationError: the file cannot be opened.
    """
    if target is None and not by_default:
        yield None
    elif target is None or target == "-":
        if isinstance(sys.stdout, TextIOWrapper):  # where it is no terminal, lines would wait for others
            sys.stdout.reconfigure(line_buffering=True)
        yield FORMATS[form](sys.stdout)
    else:
        with ExitStack() as closing:
            try:
                stream = closing.enter_context(open(target, "a", buffering=1))
            except OSError as error:
                raise ConfigurationError(f"The access log {target} cannot be opened: {error.strerror}.") from error
            yield FORMATS[form](stream)
