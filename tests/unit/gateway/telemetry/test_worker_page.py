"""The admin port of a worker."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from tests.support.free_port import free_port

from realtime_gateway.telemetry import recent, worker_page


def test_a_worker_tells_its_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_kept", None)
    recent.keep(5).add(recent.RecentSpan("0" * 32, "1", "", "Worker.work", "INTERNAL", 1, 2))
    port = free_port()
    end = worker_page.serve(port, "worker")

    def get(path: str) -> object:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return json.loads(answer.read())

    try:
        assert get("/traces")["spans"][0]["name"] == "Worker.work"  # type: ignore[index]
        assert get(f"/traces?trace_id={'1' * 32}")["spans"] == []  # type: ignore[index]
        for path, status in (("/traces?trace_id=x", 400), ("/metrics", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                get(path)
            assert refused.value.code == status
            refused.value.close()
        # A port that is taken is left out, and the worker goes on.
        worker_page.serve(port, "other")()
    finally:
        end()
