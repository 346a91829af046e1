"""Lines of the log with the trace that they belong to, as text or JSON, and no more of one kind than somebody reads.

``serve`` uses these; a project's own LOGGING can name ``JsonLines`` or ``TextLines`` as a formatter, and ``NoFlood`` as
a filter of a handler.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from opentelemetry.trace import format_span_id, format_trace_id

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.telemetry import recorder
from realtime_gateway.telemetry.spans import current

TEXT, JSON = "text", "json"
FORMATS = (TEXT, JSON)
DEFAULT_FORMAT = "%(asctime)-15s %(levelname)-8s %(message)s"
OURS = "realtime_gateway"
# Of one kind and period; above it a line says nothing new to whoever reads, and takes disk and CPU from clients.
MOST_LINES = 100
PERIOD_SECONDS = 10.0


def ids() -> tuple[str, str]:
    """Return the ids of the current trace and span, in hexadecimal digits; two empty ones where there is none."""
    context = current()
    if context is None:
        return "", ""
    return format_trace_id(context.trace_id), format_span_id(context.span_id)


class JsonLines(logging.Formatter):
    """One JSON object per line.

    ``time`` (UTC), ``level``, ``logger``, ``message``; in a traced message ``trace_id`` and ``span_id``; with an
    exception ``exception``, its traceback.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        trace_id, span_id = ids()
        if trace_id:
            line |= {"trace_id": trace_id, "span_id": span_id}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """Text by a format, and in a traced message the ids behind it."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the first line; a traceback comes below it."""
        line = super().formatMessage(record)
        trace_id, span_id = ids()
        return f"{line} [trace_id={trace_id} span_id={span_id}]" if trace_id else line


class NoFlood(logging.Filter):
    """Lets MOST_LINES of each kind of our own through in each period; the next one says how many were left out.

    A kind is what one place in the code says at one level. What a project logs is its own affair, and DEBUG is for
    whoever wants to see all.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        # Kind → end of its period, lines in it, lines left out since the last one.
        self._kinds: dict[tuple[str, int, str], tuple[float, int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is written."""
        if record.levelno <= logging.DEBUG or record.name.partition(".")[0] != OURS:
            return True
        kind, now = (record.name, record.levelno, str(record.msg)), self._clock()
        until, lines, left_out = self._kinds.get(kind, (now + PERIOD_SECONDS, 0, 0))
        if now >= until:
            until, lines = now + PERIOD_SECONDS, 0
        if lines >= MOST_LINES:
            recorder.log_lines_suppressed.add()
            self._kinds[kind] = (until, lines, left_out + 1)
            return False
        self._kinds[kind] = (until, lines + 1, 0)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like it, left out)", ()
        return True


def formatter(form: str, text_format: str) -> logging.Formatter:
    """Return what makes lines of one of FORMATS; ``text_format`` is that of text.

    Raises:
        ConfigurationError: the text's format names what no record has, or is none.
    """
    if form == JSON:
        return JsonLines()
    try:
        lines = TextLines(text_format)
        lines.format(logging.makeLogRecord({"msg": ""}))
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f"The log's format {text_format!r} cannot be used: {error}.",
            "Write it with the attributes of Python's log records, such as %(asctime)s %(levelname)s %(message)s.",
        ) from error
    return lines
