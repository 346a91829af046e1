"""Very many connections: half-open ones cost little and end by themselves; what came and went leaves nothing behind."""

from __future__ import annotations

import contextlib
import itertools
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from tests.integration.server.test_floods import highest_rise
from tests.integration.server.test_websocket import handshake_request, read_to_end
from tests.support import figures
from tests.support.conditions import wait_until
from tests.support.frames import RawClient, client_frame
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess

MIB = 1024 * 1024
HALF_OPEN = 10_000
DRIPPING = 2_000  # of them send a line more
HEAD_SECONDS = 3
HALF_OPEN_BYTES = 16 * 1024  # of the server, for each
# What this process and the server need beside the clients.
SPARE_FILES = 500
COME_AND_GO = 20_000
WARM_VISITS, VISITS = 200, 500
TIMERS_SECONDS = 90  # Twisted's, of a connection that is gone, are forgotten when they would have been due
MOST_OBJECTS = VISITS / 2  # one that each visit left behind would be twice as many
# Those who ask leave some by HTTP: a WebSocket that waits for the garbage collector waits with twenty others.
MOST_UNCOLLECTED = VISITS * 3
WARM_UP = 2_000
MAY_GROW_BYTES = 1 * MIB
HALF_A_HEAD = handshake_request("/echo")[:-2]

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def half_open() -> int:
    """How many connections may be open here, up to HALF_OPEN; one process has all of the clients' ends."""
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
    return min(HALF_OPEN, highest - SPARE_FILES)


@contextlib.contextmanager
def half_heads(port: int, count: int) -> Iterator[list[socket.socket]]:
    """Connections whose clients have begun a handshake and say no more."""
    clients: list[socket.socket] = []
    try:
        for _ in range(count):
            clients.append(socket.create_connection(("127.0.0.1", port), timeout=120))
            clients[-1].sendall(HALF_A_HEAD)
        yield clients
    finally:
        for client in clients:
            client.close()


def has_no_more_files(it: ServeProcess, count: int) -> bool:
    assert it.process is not None
    return bool(psutil.Process(it.process.pid).num_fds() <= count)


def lets_them_wait(applications: Path, seconds: int) -> ServeProcess:
    options = ("--head-timeout-seconds", str(seconds))
    return ServeProcess("conversations:application", *options, directory=applications)


async def test_half_open_handshakes_cost_little_and_disturb_nobody(applications, half_open: int):
    with lets_them_wait(applications, 3600) as it:
        assert it.process is not None
        await highest_rise(it, 0, "before there are any")  # also warms up
        process = psutil.Process(it.process.pid)
        before, files = it.resident_bytes(), process.num_fds()
        with half_heads(it.port, half_open) as clients:
            it.wait_until(lambda: process.num_fds() >= files + half_open, "holding all of them", 60)
            each = (it.resident_bytes() - before) / half_open
            figures.show(f"{half_open} half-open handshakes of {HALF_OPEN}: {each / 1024:.1f} KiB each")
            for client in clients[:DRIPPING]:
                client.sendall(b"X-Slow: a\r\n")
            await highest_rise(it, before, f"beside {half_open} half-open handshakes")
            # While all of them are there: afterwards the allocator gives some of it back, each time another part.
            highest = it.resident_bytes()
        wait_until(lambda: has_no_more_files(it, files))
        with half_heads(it.port, half_open):
            it.wait_until(lambda: process.num_fds() >= files + half_open, "holding all of them again", 60)
            again = it.resident_bytes()
    assert each <= HALF_OPEN_BYTES
    assert again - highest <= half_open * each / 10, "what the first ones took is not used again"


def test_half_open_handshakes_end_by_themselves_and_the_log_names_the_limit(applications, half_open: int):
    with lets_them_wait(applications, HEAD_SECONDS) as it:
        assert it.process is not None
        files = psutil.Process(it.process.pid).num_fds()
        with half_heads(it.port, half_open) as clients:
            assert all(read_to_end(client).startswith(b"HTTP/1.1 408 ") for client in clients)
            wait_until(lambda: has_no_more_files(it, files), 30)
        assert it.metric('realtime_gateway_limits_met_total{limit="http.headTimeoutSeconds"}') == half_open
        assert "Limit http.headTimeoutSeconds met by 127.0.0.1: answered with 408" in it.output


def closes(port: int) -> None:
    with RawClient(port, "/echo") as client:
        client.send(client_frame(0x81, b"hello"))
        assert client.frame() == (0x81, b"hello")
        client.send(client_frame(0x88, b"\x03\xe8"))
        assert client.frame() == (0x88, b"\x03\xe8")


def leaves_without_a_word(port: int) -> None:
    RawClient(port, "/echo").socket.close()


def is_cut_off(port: int) -> None:
    RawClient(port, "/echo").reset()


def is_rejected(port: int) -> None:
    with RawClient(port, "/reject") as client:
        assert client.head.startswith(b"HTTP/1.1 403 ")


def leaves_amid_its_head(port: int) -> None:
    with half_heads(port, 1):
        pass


def joins_a_room(port: int) -> None:
    with RawClient(port, "/") as client:
        client.send(client_frame(0x81, b"hello"))
        assert client.frame() == (0x81, b"hello")


def asks_by_http(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert read_to_end(client).endswith(b"hello")


WAYS = (closes, leaves_without_a_word, is_cut_off, is_rejected, leaves_amid_its_head, asks_by_http)


def test_nothing_grows_with_clients_that_come_and_go(applications):
    with ServeProcess("conversations:application", "-v", "0", directory=applications) as it:
        assert it.process is not None
        files = psutil.Process(it.process.pid).num_fds()
        ways = itertools.cycle(WAYS)
        for _ in range(WARM_UP):
            next(ways)(it.port)
        wait_until(lambda: has_no_more_files(it, files))
        before = it.resident_bytes()
        for _ in range(COME_AND_GO):
            next(ways)(it.port)
        wait_until(lambda: has_no_more_files(it, files))
        grown = it.resident_bytes() - before
        figures.show(f"{COME_AND_GO} clients came and went: {grown / 1024:+.0f} KiB")
        assert it.metric('realtime_gateway_connections{protocol="websocket"}') == 0
        assert it.metric('realtime_gateway_connections{protocol="http"}') == 0
        assert grown <= MAY_GROW_BYTES


def objects(it: ServeProcess) -> int:
    """Return how many objects the server has, once nobody is there but the one who asks."""
    wait_until(lambda: it.metric('realtime_gateway_connections{protocol="websocket"}') == 0, 30)
    return int(httpx.get(f"{it.url}/objects").text)


def left_behind(it: ServeProcess, way: Callable[[int], None]) -> int:
    """Return how many objects more there are after many visits than before, once what waits for its time is gone."""
    for _ in range(WARM_VISITS):
        way(it.port)
    before = objects(it)
    for _ in range(VISITS):
        way(it.port)
    seen: list[int] = []

    def few() -> bool:
        seen.append(objects(it) - before)
        return seen[-1] <= MOST_OBJECTS

    with contextlib.suppress(AssertionError):  # the caller says of which way
        wait_until(few, TIMERS_SECONDS, poll_seconds=1)
    return seen[-1]


def test_no_way_to_come_and_go_leaves_an_object_behind(applications):
    with ServeProcess("conversations:application", "-v", "0", directory=applications) as it:
        left = {way.__name__: left_behind(it, way) for way in WAYS}
    figures.show(f"objects that {VISITS} visits have left behind: {left}")
    assert not {name: count for name, count in left.items() if count > MOST_OBJECTS}


def test_members_of_a_room_over_redis_leave_nothing_behind(applications):
    with RedisProcess() as redis:
        environment = {"REDIS_PORT": str(redis.port)}
        quiet = ("-v", "0")
        with ServeProcess("fanning:application", *quiet, directory=applications, environment=environment) as it:
            left = left_behind(it, joins_a_room)
    figures.show(f"objects that {VISITS} members have left behind: {left}")
    assert left <= MOST_OBJECTS


def uncollected(it: ServeProcess, way: Callable[[int], None]) -> int:
    """Return how many objects more there are after many visits than before, where nobody looks for garbage."""

    def count() -> int:
        wait_until(lambda: it.metric('realtime_gateway_connections{protocol="websocket"}') == 0, 30)
        return int(httpx.get(f"{it.url}/uncollected").text)

    for _ in range(WARM_VISITS):
        way(it.port)
    before = count()
    for _ in range(VISITS):
        way(it.port)
    return count() - before


def test_a_websocket_that_is_gone_does_not_wait_for_the_garbage_collector(applications):
    with ServeProcess("conversations:application", "-v", "0", directory=applications) as it:
        left = {way.__name__: uncollected(it, way) for way in WAYS if way not in (leaves_amid_its_head, asks_by_http)}
    with RedisProcess() as redis:
        environment = {"REDIS_PORT": str(redis.port)}
        with ServeProcess("fanning:application", "-v", "0", directory=applications, environment=environment) as it:
            left["joins_a_room"] = uncollected(it, joins_a_room)
    figures.show(f"objects that {VISITS} visits have left for the garbage collector: {left}")
    assert not {name: count for name, count in left.items() if count > MOST_UNCOLLECTED}
