"""A collector for a pod of the gateway's image: writes each span that it is sent to its log, as one line of JSON."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


def value(any_value: AnyValue) -> object:
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(one) for one in any_value.array_value.values]
    return getattr(any_value, kind) if kind else None


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        for sender in request.resource_spans:
            process = {pair.key: pair.value.string_value for pair in sender.resource.attributes}
            for span in (span for scope in sender.scope_spans for span in scope.spans):
                written = {
                    "name": span.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "service": process["service.name"],
                    "pod": process["service.instance.id"],
                    "attributes": {pair.key: value(pair.value) for pair in span.attributes},
                    "links": [link.trace_id.hex() for link in span.links],
                }
                sys.stdout.write(json.dumps(written) + "\n")
        sys.stdout.flush()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


ThreadingHTTPServer(("0.0.0.0", 4318), Handler).serve_forever()
