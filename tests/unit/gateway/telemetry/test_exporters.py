"""What sends over OTLP, and what it says when it cannot. That it sends is seen in tests/integration/telemetry."""

from __future__ import annotations

import logging
import sys

import pytest

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.telemetry import exporters, recorder
from realtime_gateway.telemetry.exporters import GRPC, HTTP, Protocol


@pytest.mark.parametrize(("protocol", "extra"), [(HTTP, "otlp"), (GRPC, "otlp-grpc")])
@pytest.mark.parametrize("make", [exporters.span_exporter, exporters.metric_exporter])
def test_an_extra_that_is_missing_is_one_clear_error(
    make: object, protocol: Protocol, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"opentelemetry.exporter.otlp.proto.{protocol[:4]}", None)
    with pytest.raises(ConfigurationError) as caught:
        make("http://user:secret@collector", protocol)  # type: ignore[operator]
    assert f"realtime-gateway[{extra}]" in caught.value.remedy
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("http://collector:4318", "http://collector:4318"),
        ("http://collector:4318/", "http://collector:4318"),
        ("https://example.com/otlp", "https://example.com/otlp"),
        ("http://collector:4318/v1/traces", "http://collector:4318"),
        ("http://collector:4318/v1/metrics/", "http://collector:4318"),
    ],
)
def test_both_signals_have_a_path_of_their_own_at_the_same_collector(address: str, base: str) -> None:
    assert exporters.signal_url(address, "traces") == f"{base}/v1/traces"
    assert exporters.signal_url(address, "metrics") == f"{base}/v1/metrics"


def test_the_same_complaint_is_written_once_a_minute_and_the_others_are_counted() -> None:
    now_and_then = exporters.NowAndThen()

    def record(text: str) -> logging.LogRecord:
        return logging.LogRecord("export", logging.ERROR, __file__, 1, text, ("argument",), None)

    before = recorder.log_lines_suppressed.values.get("", 0)
    assert now_and_then.filter(record("refused %s"))
    assert not now_and_then.filter(record("refused %s"))
    assert now_and_then.filter(record("timed out %s"))
    assert recorder.log_lines_suppressed.values[""] == before + 1
