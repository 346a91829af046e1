"""Collectors in trouble, over HTTP and gRPC on 127.0.0.1: one that takes, one that refuses, one that never answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.support.free_port import free_port
from tests.support.trace_receiver import TraceReceiver

Trouble = Literal["none", "refuses", "slow", "dead"]
# What each answers over HTTP: nothing at all, where it is slow.
STATUS = {"none": 200, "refuses": 403, "slow": None}
SERVICES = {
    "trace": ("opentelemetry.proto.collector.trace.v1.TraceService", ExportTraceServiceResponse),
    "metrics": ("opentelemetry.proto.collector.metrics.v1.MetricsService", ExportMetricsServiceResponse),
}


class Exports:
    """What came: the signal's path or name, and the body."""

    def __init__(self, url: str, bodies: list[tuple[str, bytes]]) -> None:
        self.url = url
        self.bodies = bodies

    def of(self, signal: str) -> list[bytes]:
        """The bodies of one signal, ``trace`` or ``metrics``."""
        return [body for path, body in list(self.bodies) if f"/{signal}" in path]


@contextmanager
def receiving(protocol: str, trouble: Trouble) -> Iterator[Exports]:
    """Listen in the block."""
    if trouble == "dead":
        yield Exports(f"http://127.0.0.1:{free_port()}", [])
    elif protocol == "grpc":
        with _over_grpc(trouble) as exports:
            yield exports
    else:
        with TraceReceiver(STATUS[trouble]) as receiver:
            yield Exports(receiver.url, receiver.bodies)


@contextmanager
def _over_grpc(trouble: Trouble) -> Iterator[Exports]:
    ended = threading.Event()
    bodies: list[tuple[str, bytes]] = []

    def answer(signal: str, response: bytes) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            bodies.append((f"/{signal}", body))
            if trouble == "refuses":
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "not from you")
            if trouble == "slow":
                ended.wait()
            return response

        return export

    server = grpc.server(ThreadPoolExecutor(8))
    for signal, (service, response) in SERVICES.items():
        method = grpc.unary_unary_rpc_method_handler(answer(signal, response().SerializeToString()))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Exports(f"http://127.0.0.1:{port}", bodies)
    finally:
        ended.set()
        server.stop(grace=None).wait()
