"""How a server ends: what its clients are told, what its applications see, and its exit code."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import time

import httpx
import pytest
from tests.integration.server.test_websocket import handshake_request, read_to_end
from tests.support.conditions import until
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

REASON = "server restarting; reconnect in 1 s"


async def closing(websocket) -> tuple[int, str, float]:
    """Wait for the server's close; return it with the time it came at."""
    with pytest.raises(ConnectionClosed) as caught:
        await asyncio.wait_for(websocket.recv(), 30)
    return caught.value.rcvd.code, caught.value.rcvd.reason, time.monotonic()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_every_client_gets_1012_and_every_application_its_disconnect(applications, number):
    with ServeProcess("conversations:application", directory=applications) as it:
        clients = await asyncio.gather(*(connect(f"{it.websocket_url}/echo") for _ in range(20)))
        it.terminate(number)
        ends = await asyncio.gather(*(closing(client) for client in clients))
        assert {(code, reason) for code, reason, _ in ends} == {(1012, REASON)}
        assert it.wait() == 0
        assert it.output.count(f"disconnect 1012 {REASON}") == 20
        assert "Traceback" not in it.output


async def test_applications_hear_of_the_end_while_messages_wait_for_their_rate(applications):
    with ServeProcess("patient:application", directory=applications) as it:
        clients = await asyncio.gather(*(connect(f"{it.websocket_url}/echo") for _ in range(5)))
        for client in clients:
            for number in range(100):
                await client.send(str(number))
            assert await client.recv() == "0"
        it.terminate()
        assert {(await closing(client))[:2] for client in clients} == {(1012, REASON)}
        assert it.wait() == 0
        assert it.output.count(f"disconnect 1012 {REASON}") == 5
        assert "did not end within" not in it.output


async def test_closes_are_spread_over_the_period(applications):
    with ServeProcess("conversations:application", "--drain-seconds", "2", directory=applications) as it:
        clients = await asyncio.gather(*(connect(f"{it.websocket_url}/echo") for _ in range(60)))
        it.terminate()
        times = sorted([at for _, _, at in await asyncio.gather(*(closing(client) for client in clients))])
        assert it.wait() == 0
    spread = times[-1] - times[0]
    assert spread > 1, "all at once"
    in_one_tenth = max(sum(1 for at in times if start <= at < start + spread / 10) for start in times)
    assert in_one_tenth < 30, "half of them in one wave"


async def test_clients_that_are_all_sent_away_at_once_are_told_to_come_back_at_different_times(applications):
    with ServeProcess("conversations:application", "--drain-accept-seconds", "600", directory=applications) as it:
        clients = await asyncio.gather(*(connect(f"{it.websocket_url}/echo") for _ in range(300)))
        it.terminate()
        await until(lambda: it.health()["phase"] == "not ready")
        it.terminate()
        reasons = [reason for _, reason, _ in await asyncio.gather(*(closing(client) for client in clients))]
        assert it.wait() == 0
    seconds = [int(reason.removeprefix("server restarting; reconnect in ").removesuffix(" s")) for reason in reasons]
    assert set(seconds) == {1, 2, 3}  # a hundred in a second


async def test_a_server_without_connections_ends_at_once(applications):
    with ServeProcess("conversations:application", "--drain-seconds", "600", directory=applications) as it:
        it.terminate()
        assert it.wait(10) == 0


async def test_it_is_not_ready_at_once_and_accepts_for_as_long_as_it_was_told(applications):
    options = ("--drain-accept-seconds", "600")
    with ServeProcess("conversations:application", *options, directory=applications) as it:
        it.terminate()
        await until(lambda: it.admin("readyz")[0] == 503)
        assert it.health()["phase"] == "not ready"
        async with connect(f"{it.websocket_url}/echo") as late:
            await late.send("still welcome")
            assert await late.recv() == "still welcome"
            it.terminate()  # a second signal ends the wait
            assert (await closing(late))[:2] == (1012, REASON)
        assert it.wait() == 0


async def test_requests_in_flight_finish_and_close_their_connections(applications, tmp_path):
    gate = tmp_path / "gate"
    with ServeProcess("conversations:application", directory=applications) as it:
        async with httpx.AsyncClient(timeout=30) as client:
            pending = asyncio.create_task(client.get(f"{it.url}/slow?until={gate}"))
            await until(lambda: "slow began" in it.output)
            it.terminate()
            await until(lambda: refuses_connections(it.port))
            gate.touch()
            response = await pending
        assert (response.text, response.headers["connection"]) == ("done", "close")
        assert it.wait() == 0


async def test_a_response_that_had_begun_closes_its_connection_behind_it_too(applications, tmp_path):
    gate, never = tmp_path / "gate", tmp_path / "never"
    request = f"GET /begin-and-wait?until={gate} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with (
        ServeProcess("conversations:application", directory=applications) as it,
        socket.create_connection(("127.0.0.1", it.port), timeout=30) as client,
        socket.create_connection(("127.0.0.1", it.port), timeout=30) as other,
    ):
        other.sendall(f"GET /slow?until={never} HTTP/1.1\r\nHost: x\r\n\r\n".encode())  # keeps the server there
        it.wait_for_output("slow began")
        client.sendall(request)
        received = b""
        while b"begun" not in received:
            received += await asyncio.to_thread(client.recv, 4096)
        it.terminate()
        await until(lambda: refuses_connections(it.port))
        gate.touch()
        assert b"ended" in await asyncio.to_thread(read_to_end, client)
        assert it.process is not None
        assert it.process.poll() is None, "its end has closed the connection"


async def test_a_large_response_leaves_whole(applications):
    size = 20_000_000
    with ServeProcess("conversations:application", directory=applications) as it:
        with socket.create_connection(("127.0.0.1", it.port), timeout=30) as client:
            client.sendall(f"GET /large?size={size} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            head = client.recv(100)
            it.terminate()
            await until(lambda: refuses_connections(it.port))
            received = head + await asyncio.to_thread(read_to_end, client)
        assert len(received.partition(b"\r\n\r\n")[2]) == size
        assert it.wait() == 0


async def test_idle_kept_alive_connections_do_not_hold_it_up(applications):
    with ServeProcess("conversations:application", "--drain-seconds", "600", directory=applications) as it:
        async with httpx.AsyncClient() as client:
            await client.get(it.url)
            it.terminate()
            assert await asyncio.to_thread(it.wait, 10) == 0


async def test_a_second_signal_cuts_what_is_left(applications, tmp_path):
    with ServeProcess("conversations:application", "--drain-seconds", "600", directory=applications) as it:
        async with httpx.AsyncClient(timeout=30) as client:
            pending = asyncio.create_task(client.get(f"{it.url}/slow?until={tmp_path / 'never'}"))
            await until(lambda: "slow began" in it.output)
            it.terminate()
            await until(lambda: refuses_connections(it.port))
            assert it.process is not None
            assert it.process.poll() is None
            it.terminate()
            with pytest.raises(httpx.TransportError):
                await pending
        assert it.wait(10) == 0
        assert "Cutting off 1 connections" in it.output


async def test_the_end_of_the_period_cuts_what_is_left(applications, tmp_path):
    with ServeProcess("conversations:application", "--drain-seconds", "1", directory=applications) as it:
        async with httpx.AsyncClient(timeout=30) as client:
            pending = asyncio.create_task(client.get(f"{it.url}/slow?until={tmp_path / 'never'}"))
            await until(lambda: "slow began" in it.output)
            it.terminate()
            with pytest.raises(httpx.TransportError):
                await pending
        assert it.wait(20) == 0


async def test_a_client_that_never_answers_the_close_does_not_hold_it_up(applications):
    with ServeProcess("conversations:application", "--drain-seconds", "1", directory=applications) as it:
        with socket.create_connection(("127.0.0.1", it.port), timeout=30) as mute:
            mute.sendall(handshake_request("/echo"))
            assert mute.recv(4096).startswith(b"HTTP/1.1 101 ")
            it.terminate()
            assert await asyncio.to_thread(it.wait, 20) == 0
            assert read_to_end(mute) == bytes((0x88, 2 + len(REASON))) + b"\x03\xf4" + REASON.encode()
        assert f"disconnect 1012 {REASON}" in it.output


async def test_an_application_that_ignores_its_disconnect_is_cancelled(applications):
    options = ("--application-close-timeout", "1")
    with ServeProcess("conversations:application", *options, directory=applications) as it:
        async with connect(f"{it.websocket_url}/stubborn") as websocket:
            it.terminate()
            assert (await closing(websocket))[0] == 1012
        assert it.wait() == 0
        assert "cancelled" in it.output
        assert re.search(r"did not end within 1 s of its client's leaving", it.output)


async def test_a_handshake_in_progress_is_refused_with_503(applications):
    with ServeProcess("conversations:application", directory=applications) as it:
        handshake = asyncio.create_task(connect(f"{it.websocket_url}/late").__aenter__())
        await until(lambda: "late saw websocket.connect" in it.output)
        it.terminate()
        with pytest.raises(InvalidStatus) as caught:
            await handshake
        assert caught.value.response.status_code == 503
        assert caught.value.response.headers["Retry-After"] == "1"
        assert it.wait() == 0


async def test_connections_that_wait_in_the_listen_queue_are_served(applications, tmp_path):
    with ServeProcess("conversations:application", directory=applications) as it:
        blocked = asyncio.create_task(asyncio.to_thread(httpx.get, f"{it.url}/block?seconds=1", timeout=30))
        # The server's loop is blocked now or soon; what connects meanwhile is accepted by the kernel only.
        await until(lambda: "blocking the event loop" in it.output)
        waiting = [socket.create_connection(("127.0.0.1", it.port), timeout=30) for _ in range(20)]
        for client in waiting:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        it.terminate()
        answers = [await asyncio.to_thread(read_to_end, client) for client in waiting]
        for client in waiting:
            client.close()
        assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * 20
        await blocked
        assert it.wait() == 0


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_a_blocked_event_loop_does_not_keep_the_process_alive(applications, loop):
    options = ("--drain-seconds", "600", "--loop", loop)
    with ServeProcess("conversations:application", *options, directory=applications) as it:
        blocked = asyncio.create_task(asyncio.to_thread(httpx.get, f"{it.url}/block?seconds=1000", timeout=60))
        await until(lambda: "blocking the event loop" in it.output)
        it.terminate(signal.SIGTERM)
        it.terminate(signal.SIGINT)  # a second one leaves no window; another number, since equal ones may become one
        assert await asyncio.to_thread(it.wait, 30) == 1
        with pytest.raises(httpx.TransportError):
            await blocked
        assert it.output.count("The event loop does not answer and the drain's time is over; leaving.") == 1
        assert "in http_block" in it.output


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_a_loop_that_is_blocked_for_a_while_only_drains_when_it_is_back(applications, loop):
    options = ("--drain-seconds", "600", "--loop", loop)
    with ServeProcess("conversations:application", *options, directory=applications) as it:
        async with connect(f"{it.websocket_url}/echo") as websocket:
            blocked = asyncio.create_task(asyncio.to_thread(httpx.get, f"{it.url}/block?seconds=2", timeout=60))
            await until(lambda: "blocking the event loop" in it.output)
            it.terminate()
            assert (await closing(websocket))[0] == 1012
        await blocked
        assert it.wait() == 0
        assert "does not answer" not in it.output


def test_a_signal_during_the_import_of_the_application_ends_it(applications):
    it = ServeProcess("slow_import:application", directory=applications).launch()
    try:
        it.wait_for_output("importing")
        it.terminate()
        assert it.wait(10) == 0
    finally:
        it.stop()


def test_a_signal_during_the_applications_startup_ends_it(applications):
    it = ServeProcess("lifespans:hanging", directory=applications).launch()
    try:
        it.wait_for_output("starting up")
        assert it.admin("readyz")[0] == 0
        it.terminate()
        assert it.wait(10) == 0
    finally:
        it.stop()


def refuses_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def test_a_busy_thread_does_not_keep_the_process_alive_and_what_was_printed_is_not_lost(applications, tmp_path):
    with ServeProcess(
        *("conversations:application", "--access-log", str(tmp_path / "access.log")),
        directory=applications,
        environment={"PYTHONUNBUFFERED": ""},
    ) as it:
        httpx.get(f"{it.url}/busy-thread")
        it.terminate()
        assert it.wait(20) == 0
        assert "Threads of the application are still busy" in it.output
        assert "printed without a line's end" in it.output
