import asyncio

import pytest
from tests.support.free_port import free_port

from realtime_gateway.console import pages
from realtime_gateway.local.admin_page import gateway_numbers, get


async def answering(answer: bytes) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


async def test_a_page_of_nobody_has_no_status():
    assert await get(free_port(), "/readyz") == (None, "")


async def test_a_page_that_is_refused_has_its_status_and_no_numbers():
    async with await answering(b"HTTP/1.0 503 Service Unavailable\r\n\r\nnot ready\n") as server:
        assert await get(port_of(server), "/readyz") == (503, "not ready\n")
        assert await gateway_numbers(port_of(server)) is None


async def test_a_page_without_a_status_is_nobodys():
    async with await answering(b"hello\n") as server:
        assert await get(port_of(server), "/readyz") == (None, "")


async def test_a_page_that_has_no_end_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "MOST_BYTES", 100_000)
    async with await answering(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200_000) as server:
        assert await get(port_of(server), "/metrics") == (None, "")
