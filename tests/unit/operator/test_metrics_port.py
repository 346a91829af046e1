"""The operator's metrics over real connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from realtime_gateway.errors import ConfigurationError
from realtime_operator import metrics_port, recording
from realtime_operator.metrics_port import MOST_CONNECTIONS, MOST_HEAD_BYTES, serving


@pytest.fixture
async def port() -> AsyncIterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    async with serving(number):
        yield number


async def exchange(port: int, request: str, host: str = "127.0.0.1") -> tuple[str, str]:
    """What is answered until the other side closes: the head and the body."""
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request.encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return head, body


async def ended(reader: asyncio.StreamReader) -> bool:
    """Wait until the other side ends the connection; whether it did so without an answer."""
    try:
        return not await reader.read()
    except ConnectionResetError:
        return True


async def test_prometheus_gets_the_page(port: int) -> None:
    recording.called("GET", 200)
    head, body = await exchange(port, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    status, *lines = head.split("\r\n")
    assert status == "HTTP/1.1 200 OK"
    assert f"Content-Length: {len(body.encode())}" in lines
    names = {family.name for family in text_string_to_metric_families(body)}
    assert names >= {recording.PREFIX + "api_calls", recording.PREFIX + "leads", "process_start_time_seconds"}


async def test_it_gets_openmetrics_where_it_asks_for_that(port: int) -> None:
    asked = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n"
    head, body = await exchange(port, asked)
    assert "Content-Type: application/openmetrics-text" in head
    assert body.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("HEAD /metrics", "200 OK"),
        ("GET /metrics?name=x", "200 OK"),
        ("GET /admin", "404 Not Found"),
        ("POST /metrics", "405 Method Not Allowed"),
        ("", "405 Method Not Allowed"),
    ],
)
async def test_there_is_one_page_to_read(port: int, request_line: str, status: str) -> None:
    head, body = await exchange(port, f"{request_line} HTTP/1.1\r\n\r\n")
    assert head.split("\r\n")[0] == f"HTTP/1.1 {status}"
    assert bool(body) == (not request_line.startswith("HEAD"))


async def test_it_is_served_over_ipv6_too(port: int) -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")
    head, _ = await exchange(port, "GET / HTTP/1.1\r\n\r\n", host="::1")
    assert head.startswith("HTTP/1.1 200")


async def test_where_ipv6_is_not_there_it_is_served_over_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with metrics_port._listen(0) as listening:
        assert listening.family == socket.AF_INET


async def test_connections_that_ask_nothing_make_room_for_those_that_do(port: int) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * MOST_CONNECTIONS)]
    for _, writer in idle:
        writer.write(b"GET /metrics HTTP/1.1\r\n")
    head, _ = await exchange(port, "GET /metrics HTTP/1.1\r\n\r\n")
    assert head.startswith("HTTP/1.1 200")
    exchanges = [task for task in asyncio.all_tasks() if task.get_name() == "metrics"]
    assert len(exchanges) <= MOST_CONNECTIONS
    async with asyncio.timeout(30):
        for reader, _ in idle[:MOST_CONNECTIONS]:
            assert await ended(reader)
    for _, writer in idle:
        writer.close()


async def test_a_request_without_end_is_ended(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(metrics_port, "EXCHANGE_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\n")
    async with asyncio.timeout(30):
        assert await ended(reader)
    writer.close()


async def test_a_head_that_is_too_long_is_refused(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x" * (3 * MOST_HEAD_BYTES))
    async with asyncio.timeout(30):
        assert await ended(reader)
    writer.close()


async def test_a_port_that_somebody_else_has_stops_the_start() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="Metrics cannot be served on port"):
            async with serving(taken.getsockname()[1]):
                pass
