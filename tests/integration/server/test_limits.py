"""What happens at each limit, over real sockets: the client is told why, and the log and the metrics name the limit."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time

import httpx
import pytest
from tests.integration.server.test_websocket import closed, handshake_request, read_to_end, refused
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect


def serve(applications, *options: str) -> ServeProcess:
    return ServeProcess("conversations:application", *options, directory=applications)


def limits_met(it: ServeProcess, limit: str) -> float:
    return it.metric(f'realtime_gateway_limits_met_total{{limit="{limit}"}}')


async def test_one_address_gets_no_more_than_its_share(applications):
    with serve(applications, "--max-connections-per-address", "2") as it:
        async with connect(f"{it.websocket_url}/echo"), connect(f"{it.websocket_url}/echo") as second:
            response = await refused(f"{it.websocket_url}/echo")
            assert (response.status_code, response.headers["Retry-After"]) == (429, "10")
            await second.close()
            async with connect(f"{it.websocket_url}/echo"):
                pass
        assert it.metric('realtime_gateway_handshakes_total{result="address_limit"}') == 1
        assert limits_met(it, "websocket.maxConnectionsPerIP") == 1
        assert "Limit websocket.maxConnectionsPerIP met by 127.0.0.1: answered with 429" in it.output


async def test_handshakes_beyond_the_rate_are_refused_and_the_others_served(applications):
    with serve(applications, "--handshakes-per-second", "1") as it:
        async with connect(f"{it.websocket_url}/echo") as websocket:
            response = await refused(f"{it.websocket_url}/echo")
            assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
            await websocket.send("served")
            assert await websocket.recv() == "served"
        assert limits_met(it, "websocket.handshakeRate") == 1


def test_a_head_over_the_limit_is_431_also_as_one_endless_line(applications):
    with serve(applications, "--max-head-bytes", "2000") as it:
        assert httpx.get(it.url, headers={"X-Long": "x" * 1500}).status_code == 200
        assert httpx.get(it.url, headers={"X-Long": "x" * 2500}).status_code == 431
        many = {f"X-{number}": "x" * 200 for number in range(10)}
        assert httpx.get(it.url, headers=many).status_code == 431
        with socket.create_connection(("127.0.0.1", it.port), timeout=10) as client:
            client.sendall(b"GET /" + b"x" * 3000)
            assert read_to_end(client).startswith(b"HTTP/1.1 431 ")
        assert limits_met(it, "http.maxHeadSize") == 3


async def test_a_head_that_comes_drop_by_drop_is_408_at_its_deadline(applications):
    with serve(applications, "--head-timeout-seconds", "1") as it:
        with (
            socket.create_connection(("127.0.0.1", it.port), timeout=10) as slow,
            socket.create_connection(("127.0.0.1", it.port), timeout=10) as mute,
        ):
            slow.sendall(b"GET / HTTP/1.1\r\n")
            dropping = asyncio.create_task(drop_by_drop(slow))
            assert (await asyncio.to_thread(read_to_end, slow)).startswith(b"HTTP/1.1 408 ")
            assert (await asyncio.to_thread(read_to_end, mute)).startswith(b"HTTP/1.1 408 ")
            await dropping
        assert limits_met(it, "http.headTimeoutSeconds") == 2


async def drop_by_drop(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        for _ in range(100):
            client.sendall(b"X-Slow: a\r\n")
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("beginning", [b"G", b"GET / HTTP/1.1\r\n"], ids=["one byte", "one line"])
async def test_the_second_request_of_a_connection_has_the_deadline_too(applications, beginning: bytes):
    with (
        serve(applications, "--head-timeout-seconds", "1") as it,
        socket.create_connection(("127.0.0.1", it.port), timeout=10) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        client.sendall(beginning)
        assert b"HTTP/1.1 408 " in await asyncio.to_thread(read_to_end, client)


async def test_an_open_websocket_and_a_request_in_flight_meet_no_deadline(applications, tmp_path):
    gate = tmp_path / "gate"
    with serve(applications, "--head-timeout-seconds", "1") as it:
        async with connect(f"{it.websocket_url}/echo") as websocket, httpx.AsyncClient(timeout=30) as client:
            pending = asyncio.create_task(client.get(f"{it.url}/slow?until={gate}"))
            with socket.create_connection(("127.0.0.1", it.port), timeout=10) as mute:
                await asyncio.to_thread(read_to_end, mute)  # its deadline is later than theirs would be
            gate.touch()
            assert (await pending).text == "done"
            await websocket.send("still here")
            assert await websocket.recv() == "still here"


def test_a_body_over_the_limit_is_413_before_it_is_sent_and_in_chunks_too(applications):
    def chunks():
        for _ in range(300):
            yield b"x" * 10_000

    with serve(applications, "--max-body-bytes", "100000") as it:
        assert httpx.post(f"{it.url}/body", content=b"x" * 100_000).status_code == 200
        response = httpx.post(f"{it.url}/body", content=b"x" * 3_000_000)
        assert (response.status_code, response.text) == (413, "The body of a request may have 100000 bytes.\n")
        assert httpx.post(f"{it.url}/body", content=chunks()).status_code == 413
        assert httpx.get(it.url).text == "hello"
        assert limits_met(it, "http.maxBodySize") == 2
        assert "Traceback" not in it.output


async def test_a_body_is_streamed_and_its_client_slowed_down_to_the_applications_pace(applications, tmp_path):
    gate = tmp_path / "gate"
    size = 64 * 1024 * 1024
    with serve(applications) as it, socket.create_connection(("127.0.0.1", it.port), timeout=30) as client:
        client.sendall(f"POST /gated-body?until={gate} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        it.wait_for_output("body begins")  # the application runs before the body is there
        client.setblocking(False)
        piece, sent, idle = b"x" * 65536, 0, 0
        while idle < 20:
            try:
                sent += client.send(piece[: size - sent])
                idle = 0
            except BlockingIOError:
                idle += 1
                await asyncio.sleep(0.02)
        assert sent < size / 2, "nothing slows the client down"
        gate.touch()
        client.setblocking(True)
        while sent < size:
            await asyncio.to_thread(client.sendall, piece[: min(len(piece), size - sent)])
            sent += min(len(piece), size - sent)
        assert str(size).encode() in client.recv(4096)


async def test_what_follows_a_body_that_nobody_took_is_not_read_as_a_request(applications):
    smuggled = b"GET /scope HTTP/1.1\r\nHost: x\r\n\r\n"
    with serve(applications) as it:
        with socket.create_connection(("127.0.0.1", it.port), timeout=10) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
            answer = client.recv(4096)
            client.sendall(smuggled * 3)
            with contextlib.suppress(OSError):
                answer += await asyncio.to_thread(read_to_end, client)
        assert answer.count(b"HTTP/1.1 ") == 1, answer
        assert b"hello" in answer


async def test_a_pipelined_request_after_a_body_is_answered_in_order(applications):
    with serve(applications) as it:
        with socket.create_connection(("127.0.0.1", it.port), timeout=10) as client:
            client.sendall(
                b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            answer = await asyncio.to_thread(read_to_end, client)
        assert answer.index(b"[3]") < answer.index(b"hello")


async def test_a_client_over_its_queue_for_too_long_is_closed_and_nobody_else(applications):
    with serve(applications, "--send-queue-bytes", "100000", "--send-queue-seconds", "1") as it:
        async with connect(f"{it.websocket_url}/echo") as neighbour:
            with socket.create_connection(("127.0.0.1", it.port), timeout=30) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                client.sendall(handshake_request("/large-messages?size=20000000"))
                it.wait_for_output("disconnect 1013 the client reads too slowly")
            await neighbour.send("nothing noticed")
            assert await neighbour.recv() == "nothing noticed"
        assert it.metric('realtime_gateway_connections_closed_total{reason="slow_client"}') == 1
        assert limits_met(it, "websocket.sendQueueSize") == 1


async def test_a_client_that_catches_up_in_time_stays(applications):
    with serve(applications, "--send-queue-bytes", "1000", "--send-queue-seconds", "5") as it:
        async with connect(f"{it.websocket_url}/large-messages?size=8000000", max_size=None) as websocket:
            for _ in range(3):
                assert len(await websocket.recv()) == 8_000_000
        assert limits_met(it, "websocket.sendQueueSize") == 0


async def test_ages_end_a_little_apart_and_none_is_over_the_maximum(applications):
    with serve(applications, "--max-age-seconds", "4") as it:
        clients = [await connect(f"{it.websocket_url}/echo") for _ in range(20)]
        times = []

        async def wait(websocket) -> None:
            assert await closed(websocket) == (1012, "connection reached its maximum age; reconnect")
            times.append(time.monotonic())

        await asyncio.gather(*map(wait, clients))
        assert max(times) - min(times) > 0.2, "all in one wave"


def test_a_blocked_event_loop_is_reported_with_where_it_is_and_when_it_goes_on(applications):
    with serve(applications, "--blocked-loop-seconds", "0.5") as it:
        assert httpx.get(f"{it.url}/block?seconds=2", timeout=30).text == "blocked"
        it.wait_for_output("The event loop moves again after")
        assert it.output.count("The event loop is blocked for") == 1
        assert "in http_block" in it.output
        assert it.metric("realtime_gateway_loop_blocked_total") == 1


def test_a_loop_blocked_by_code_that_lets_no_thread_run_is_reported_when_it_goes_on(applications):
    with serve(applications, "--blocked-loop-seconds", "0.5") as it:
        assert httpx.get(f"{it.url}/hold?seconds=2", timeout=60).text == "held"
        it.wait_for_output("The event loop was blocked for")
        assert "The event loop is blocked for" not in it.output
        assert it.metric("realtime_gateway_loop_blocked_total") == 1


async def test_a_process_that_was_stopped_as_a_whole_has_not_blocked_its_loop(applications):
    with serve(applications, "--blocked-loop-seconds", "0.5") as it:
        it.terminate(signal.SIGSTOP)
        await asyncio.sleep(2)
        it.terminate(signal.SIGCONT)
        async with connect(f"{it.websocket_url}/echo"):
            assert it.metric("realtime_gateway_loop_blocked_total") == 0
        assert "blocked for" not in it.output


@pytest.mark.parametrize("seconds", ["0", "60"])
def test_a_loop_that_moves_is_not_reported(applications, seconds: str):
    with serve(applications, "--blocked-loop-seconds", seconds) as it:
        assert httpx.get(f"{it.url}/block?seconds=1", timeout=30).text == "blocked"
        assert "is blocked" not in it.output
