"""The admin port of a worker."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.conditions import wait_until
from tests.support.free_port import free_port

from realtime_gateway.telemetry import recent, worker_page


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(recent, "_kept", None)
    port = free_port()
    end = worker_page.serve((worker_page.LOOPBACK, port), "worker")
    try:
        yield port
    finally:
        end()


def get(port: int, path: str) -> tuple[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.headers["content-type"], answer.read().decode()


def traces(port: int, query: str = "") -> Any:
    return json.loads(get(port, f"/traces{query}")[1])


def test_a_worker_tells_its_spans(port: int) -> None:
    recent.keep(5).add(recent.RecentSpan("0" * 32, "1", "", "Worker.work", "INTERNAL", 1, 2))
    assert traces(port)["spans"][0]["name"] == "Worker.work"
    assert traces(port, f"?trace_id={'1' * 32}")["spans"] == []


def test_a_worker_tells_its_metrics(port: int) -> None:
    content_type, page = get(port, "/metrics")
    assert content_type.startswith("text/plain; version=")
    found = {family.name for family in text_string_to_metric_families(page)}
    assert {"realtime_gateway_layer_queue_wait_seconds", "process_resident_memory_bytes"} <= found


@pytest.mark.parametrize(("path", "status"), [("/traces?trace_id=x", 400), ("/healthz", 404)])
def test_what_it_cannot_answer_it_refuses(port: int, path: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(port, path)
    with refused.value:
        assert refused.value.code == status


def test_a_port_that_is_taken_is_left_out_and_the_worker_goes_on(port: int) -> None:
    worker_page.serve((worker_page.LOOPBACK, port), "other")()
    assert traces(port)["process"] == "worker"


def is_open(connection: socket.socket) -> bool:
    try:
        connection.setblocking(False)
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_where_all_places_are_taken_the_oldest_connection_makes_room(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_page, "REQUEST_SECONDS", 600.0)
    with ExitStack() as stack:
        slow = []
        for _ in range(worker_page.MOST_CONNECTIONS):
            slow.append(stack.enter_context(socket.create_connection((worker_page.LOOPBACK, port))))
            slow[-1].sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        assert traces(port)["process"] == "worker"
        wait_until(lambda: not is_open(slow[0]))
        assert all(is_open(one) for one in slow[1:])


def test_a_connection_that_drips_its_request_ends(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_page, "REQUEST_SECONDS", 0.5)
    with socket.create_connection((worker_page.LOOPBACK, port)) as slow:

        def is_cut_at_last() -> bool:
            try:
                slow.send(b"x")
            except OSError:
                return True
            return not is_open(slow)

        slow.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        wait_until(is_cut_at_last, 30, 0.1)
    assert traces(port)["process"] == "worker"
