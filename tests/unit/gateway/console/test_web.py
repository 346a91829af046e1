"""The small server of a page for one person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.free_port import free_port

from realtime_gateway.console.web import Answer, Request, WebServer


@pytest.fixture
async def port() -> AsyncIterator[int]:
    number = free_port()

    async def handle(request: Request) -> Answer:
        return Answer(f"{request.path} {dict(request.query)}".encode())

    server = WebServer(handle, number)
    await server.start()
    yield number
    await server.stop()


async def status(port: int, host: str, method: str = "GET") -> int:
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{method} /x?a=1 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    return int(answer.split()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "[::1]:8080", "LOCALHOST:1"])
async def test_it_answers_to_this_machines_names_by_whatever_port_it_is_forwarded(port: int, host: str) -> None:
    assert await status(port, host) == 200


@pytest.mark.parametrize("host", ["rebound.example", "127.0.0.1.example:80", "", "[", "localhost.example:80"])
async def test_a_name_of_somebody_elses_is_refused(port: int, host: str) -> None:
    assert await status(port, host) == 421


async def test_nothing_can_be_changed(port: int) -> None:
    assert await status(port, "localhost", "POST") == 405
