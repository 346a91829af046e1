"""A collector for tests: takes OTLP over HTTP on 127.0.0.1 and keeps the spans."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support.conditions import wait_until


@dataclass(frozen=True)
class ReceivedSpan:
    """One span, with what its process says of itself."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    process: dict[str, Any]
    events: tuple[str, ...]
    links: tuple[str, ...]
    trace_state: str


class TraceReceiver:
    """Listens in its block; answers ``status`` to every export, or never, where that is None."""

    def __init__(self, status: int | None = 200) -> None:
        self.status = status
        self.exports = 0
        self.bodies: list[tuple[str, bytes]] = []
        self._spans: list[ReceivedSpan] = []
        self._ended = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.exports += 1
                receiver.bodies.append((self.path, body))
                if receiver.status == 200 and self.path == "/v1/traces":
                    receiver._spans.extend(spans_of(body))
                if receiver.status is None:
                    receiver._ended.wait()  # whoever was not answered is let go in the end
                    return
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def spans(self, trace_id: str | None = None) -> list[ReceivedSpan]:
        """Return what has come so far, in order of their starts."""
        found = [span for span in self._spans if trace_id in (None, span.trace_id)]
        return sorted(found, key=lambda span: span.start_ns)

    def wait_for(self, seconds: float = 20.0, **counts: int) -> list[ReceivedSpan]:
        """Wait until that many spans' names begin with each word, behind ``websocket``; return all spans."""

        def came() -> bool:
            words = Counter(name.removeprefix("websocket ").split()[0] for name in self._names())
            return all(words[word] >= count for word, count in counts.items())

        wait_until(came, seconds, seen=lambda: f"{self._names()}, not {counts}")
        return self.spans()

    def wait_until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Wait until something holds of what has come."""
        wait_until(condition, seconds, seen=self._names)

    def _names(self) -> list[str]:
        return [span.name for span in self.spans()]

    def __enter__(self) -> TraceReceiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def spans_of(body: bytes) -> list[ReceivedSpan]:
    """Read one export."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        ReceivedSpan(
            name=span.name,
            kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            failed=span.status.code == Status.STATUS_CODE_ERROR,
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            attributes={pair.key: _value(pair.value) for pair in span.attributes},
            process={pair.key: _value(pair.value) for pair in resource_spans.resource.attributes},
            events=tuple(event.name for event in span.events),
            links=tuple(link.span_id.hex() for link in span.links),
            trace_state=span.trace_state,
        )
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return None if kind is None else getattr(value, kind)
