"""Collectors in trouble, over HTTP and gRPC on 127.0.0.1: one that takes, one that refuses, one that never answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tests.support.free_port import free_port

Trouble = Literal["none", "refuses", "slow", "dead"]
SERVICES = {
    "trace": ("opentelemetry.proto.collector.trace.v1.TraceService", ExportTraceServiceResponse),
    "metrics": ("opentelemetry.proto.collector.metrics.v1.MetricsService", ExportMetricsServiceResponse),
}


class Exports:
    """What came: the signal's path or service, and the body as it was sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[tuple[str, bytes]] = []

    def of(self, signal: str) -> list[bytes]:
        """The bodies of one signal, ``trace`` or ``metrics``."""
        return [body for path, body in list(self.bodies) if f"/{signal}" in path]


@contextmanager
def receiving(protocol: str, trouble: Trouble) -> Iterator[Exports]:
    """Listen in the block."""
    if trouble == "dead":
        yield Exports(f"http://127.0.0.1:{free_port()}")
        return
    ended = threading.Event()
    with (_over_grpc if protocol == "grpc" else _over_http)(trouble, ended) as exports:
        try:
            yield exports
        finally:
            ended.set()  # whoever never answers lets go


@contextmanager
def _over_http(trouble: Trouble, ended: threading.Event) -> Iterator[Exports]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            exports.bodies.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            if trouble == "slow":
                ended.wait()
            self.send_response(403 if trouble == "refuses" else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # who was not answered has gone
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    exports = Exports(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield exports
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _over_grpc(trouble: Trouble, ended: threading.Event) -> Iterator[Exports]:
    def answer(service: str, response: bytes) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            exports.bodies.append((f"/{service}", body))
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
    exports = Exports(f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    try:
        yield exports
    finally:
        ended.set()
        server.stop(grace=None).wait()
