"""Gateways that export what they trace to a receiver of the test."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess
from tests.support.trace_receiver import TraceReceiver
from tests.support.traced_processes import APPLICATIONS, Serve


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisProcess]:
    with RedisProcess() as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[TraceReceiver]:
    with TraceReceiver() as started:
        yield started


@pytest.fixture
def serve(tmp_path: Path, redis_server: RedisProcess) -> Iterator[Serve]:
    """Start `serve` processes of one resource, named a, b, …, which all end with the test."""
    with ExitStack() as stack:

        def start(
            name: str, *, endpoint: str | None = None, ratio: float = 1.0, more: Any = None, **environment: str
        ) -> ServeProcess:
            telemetry = {"samplingRatio": ratio, **({"otlpEndpoint": endpoint} if endpoint else {}), **(more or {})}
            resource = tmp_path / "resource.json"
            resource.write_text(
                json.dumps(
                    {
                        "apiVersion": "realtime-gateway.io/v1alpha1",
                        "kind": "RealtimeGateway",
                        "metadata": {"name": "chat", "namespace": "town"},
                        "spec": {"application": "traced:application", "telemetry": telemetry},
                    }
                )
            )
            return stack.enter_context(
                ServeProcess(
                    "traced:application",
                    "--drain-accept-seconds=0",
                    "--drain-seconds=1",
                    directory=APPLICATIONS,
                    environment={
                        "REDIS_URL": f"redis://127.0.0.1:{redis_server.port}",
                        "REALTIME_GATEWAY_RESOURCE": str(resource),
                        "REALTIME_GATEWAY_PROCESS": name,
                        "OTEL_BSP_SCHEDULE_DELAY": "50",
                        **environment,
                    },
                )
            )

        yield start
