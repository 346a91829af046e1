"""The lines of the log."""

from __future__ import annotations

import ast
import io
import json
import logging
import logging.config
import textwrap
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from tests.support.documented import DOCUMENTS

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.telemetry import logs, recorder

TRACED = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))
IDS = {"trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}"}


def written(formatter: logging.Formatter, traced: bool = False, **more: Any) -> str:
    record = logging.LogRecord(
        "chat", logging.WARNING, __file__, 1, "said %s", ("grüezi",), **{"exc_info": None, **more}
    )
    token = otel_context.attach(set_span_in_context(NonRecordingSpan(TRACED))) if traced else None
    try:
        return formatter.format(record)
    finally:
        if token is not None:
            otel_context.detach(token)


def test_a_line_of_json_says_when_who_and_what() -> None:
    line = written(logs.JsonLines())
    found = json.loads(line)
    assert "\n" not in line
    assert found.pop("time").endswith("Z")
    assert found == {"level": "WARNING", "logger": "chat", "message": "said grüezi"}


def test_a_line_within_a_trace_has_its_ids() -> None:
    assert json.loads(written(logs.JsonLines(), traced=True)).items() >= IDS.items()
    text = written(logs.TextLines("%(message)s"), traced=True)
    assert text == f"said grüezi [trace_id={IDS['trace_id']} span_id={IDS['span_id']}]"
    assert written(logs.TextLines("%(message)s")) == "said grüezi"


def test_a_traceback_stays_within_its_line() -> None:
    error = ValueError("no\nsecond line")
    line = written(logs.JsonLines(), exc_info=(ValueError, error, None))
    assert "\n" not in line
    assert json.loads(line)["exception"] == "ValueError: no\nsecond line"


def test_one_place_cannot_flood_the_log() -> None:
    now = [0.0]
    filter = logs.NoFlood(lambda: now[0])
    before = recorder.log_lines_suppressed.values.get("", 0)

    def lines(name: str, count: int, level: int = logging.WARNING) -> list[str]:
        made = [logging.LogRecord(name, level, __file__, 1, "refused %d", (number,), None) for number in range(count)]
        return [record.getMessage() for record in made if filter.filter(record)]

    most = logs.MOST_LINES
    assert lines("realtime_gateway.server", most + 5) == [f"refused {number}" for number in range(most)]
    assert recorder.log_lines_suppressed.values[""] == before + 5
    assert len(lines("realtime_gateway.layer", 1)) == 1, "another kind is another matter"
    assert len(lines("realtime_gateway.server", 1, logging.ERROR)) == 1
    assert len(lines("chat", 2 * most)) == 2 * most, "what a project logs is its own affair"
    assert len(lines("realtime_gateway.server", 2 * most, logging.DEBUG)) == 2 * most
    now[0] = logs.PERIOD_SECONDS
    assert lines("realtime_gateway.server", 2) == ["refused 0 (and 5 more like it, left out)", "refused 1"]


def test_a_project_names_them_in_its_own_logging() -> None:
    written = (DOCUMENTS / "observability.md").read_text().split("    LOGGING = ", 1)[1].split("\n\n", 1)[0]
    configuration = ast.literal_eval(textwrap.dedent(written))
    stream = io.StringIO()
    configuration["handlers"]["stderr"]["stream"] = stream
    configuration["loggers"] = {"tried": configuration.pop("root")}
    logging.config.dictConfig(configuration)
    logging.getLogger("tried").info("hello")
    logging.getLogger("tried").handlers.clear()
    assert json.loads(stream.getvalue())["message"] == "hello"


@pytest.mark.parametrize("text_format", ["%(bogus)s", "%(levelname)d", "no field"])
def test_a_format_that_no_record_fits_is_refused(text_format: str) -> None:
    with pytest.raises(ConfigurationError, match="format"):
        logs.formatter(logs.TEXT, text_format)
