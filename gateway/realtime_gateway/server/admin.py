"""The admin port: /healthz, /readyz, /metrics and /traces, on a socket of its own that clients never reach.

/healthz   200 as long as the event loop answers: restart the process when it does not. Never depends on Redis, since
           restarting pods does not mend Redis. JSON with the process's name, phase and epoch.
/readyz    200 while connections are welcome; 503 during start-up and from the first moment of a drain.
/metrics   Prometheus text, or OpenMetrics with exemplars for whoever accepts it.
/traces    the last spans of this process, as JSON, where it keeps any; ?trace_id= asks for one trace's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.web import resource, server

from realtime_gateway import __version__
from realtime_gateway.server.drain import Phase
from realtime_gateway.telemetry import metrics_page, recent, recorder


class _Page(resource.Resource):
    """A page that a function renders, given what the client accepts: status, content type, body."""

    isLeaf = True

    def __init__(self, render: Callable[[Any], tuple[int, str, bytes]]) -> None:
        super().__init__()
        self._render = render

    def render_GET(self, request: Any) -> bytes:
        """Answer GET, and HEAD through Twisted."""
        status, content_type, body = self._render(request)
        request.setResponseCode(status)
        request.setHeader(b"content-type", content_type.encode())
        return body


def admin_site(process_name: str | None, phase: Callable[[], Phase]) -> server.Site:
    """Build the site; ``phase`` is asked at every request."""
    registry = metrics_page.make_registry()

    def healthz(request: Any) -> tuple[int, str, bytes]:
        facts = {
            "process": process_name,
            "version": __version__,
            "phase": phase().value,
            "epoch": int(recorder.layer_epoch.values.get("", 0)),
            "connections": {name: int(count) for name, count in recorder.connections.values.items()},
        }
        return 200, "application/json", json.dumps(facts).encode() + b"\n"

    def readyz(request: Any) -> tuple[int, str, bytes]:
        ready = phase() is Phase.SERVING
        return 200 if ready else 503, "text/plain", f"{phase().value}\n".encode()

    def metrics(request: Any) -> tuple[int, str, bytes]:
        content_type, page = metrics_page.render(registry, request.getHeader("accept") or "")
        return 200, content_type, page

    def traces(request: Any) -> tuple[int, str, bytes]:
        asked = request.args.get(b"trace_id")
        return recent.answer(process_name, None if asked is None else asked[-1].decode("latin1"))

    root = resource.Resource()
    root.putChild(b"healthz", _Page(healthz))
    root.putChild(b"readyz", _Page(readyz))
    root.putChild(b"metrics", _Page(metrics))
    root.putChild(b"traces", _Page(traces))
    site = server.Site(root)
    site.displayTracebacks = False
    site.noisy = False
    return site
