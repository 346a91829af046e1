"""A real OpenTelemetry Collector on 127.0.0.1, built from Go modules: writes what it takes as lines of OTLP JSON."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.support.conditions import wait_until
from tests.support.free_port import free_port
from tests.support.go_program import built

SOURCES = Path(__file__).parents[1] / "integration" / "telemetry" / "collector"
START_SECONDS = 30


class CollectorProcess:
    """One Collector with the OTLP receiver, ended by its pid."""

    def __init__(self) -> None:
        self._program = built(SOURCES, "collector", "the OpenTelemetry Collector")
        self.grpc_port, self.http_port = free_port(), free_port()
        self._output = tempfile.NamedTemporaryFile(prefix="rtg-collector-")  # noqa: SIM115  (closed in stop)
        self._log = tempfile.NamedTemporaryFile(prefix="rtg-collector-log-")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, protocol: str) -> str:
        """Where a protocol of OTLP is spoken."""
        return f"http://127.0.0.1:{self.grpc_port if protocol == 'grpc' else self.http_port}"

    def spans(self) -> list[dict[str, Any]]:
        """Every span so far, with its process's attributes as ``process``."""
        return [
            {**span, "process": _attributes(sender["resource"])}
            for batch in self._batches("resourceSpans")
            for sender in batch
            for scope in sender["scopeSpans"]
            for span in scope["spans"]
        ]

    def metric_names(self) -> set[str]:
        """The names of all metrics so far."""
        return {
            metric["name"]
            for batch in self._batches("resourceMetrics")
            for sender in batch
            for scope in sender["scopeMetrics"]
            for metric in scope["metrics"]
        }

    def _batches(self, kind: str) -> Iterator[Any]:
        for line in Path(self._output.name).read_text().splitlines():
            try:
                batch = json.loads(line)
            except ValueError:
                continue  # half of a line that is being written
            yield batch.get(kind, [])

    def _is_ready(self) -> bool:
        assert self._process is not None
        log = Path(self._log.name).read_text()
        assert self._process.poll() is None, log
        return "Everything is ready" in log

    def __enter__(self) -> CollectorProcess:
        protocols = {
            "grpc": {"endpoint": f"127.0.0.1:{self.grpc_port}"},
            "http": {"endpoint": f"127.0.0.1:{self.http_port}"},
        }
        pipeline = {"receivers": ["otlp"], "exporters": ["lines"]}
        configuration = {
            "receivers": {"otlp": {"protocols": protocols}},
            "exporters": {"lines": {}},
            "service": {
                "pipelines": {"traces": pipeline, "metrics": pipeline},
                "telemetry": {"metrics": {"level": "none"}},
            },
        }
        self._process = subprocess.Popen(
            [str(self._program), yaml.safe_dump(configuration)], stdout=self._output, stderr=self._log
        )
        wait_until(self._is_ready, START_SECONDS)
        return self

    def kill(self) -> None:
        """End it at once, as a node that goes would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._output.close()
        self._log.close()


def _attributes(resource: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: one["value"].get("stringValue") for one in resource.get("attributes", ())}
