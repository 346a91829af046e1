"""The servers that every script runs on: the real ones that are here, and the simulation's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from tests.simulation.client import SimulatedClient
from tests.support.redis_process import SERVERS, RedisProcess, server_program

SIMULATED = "the simulated server"


@pytest.fixture(scope="module", params=[*(name for name in SERVERS if server_program(name)), SIMULATED])
def redis_server(request: pytest.FixtureRequest) -> Iterator[RedisProcess | None]:
    """Each kind of server that is here, the oldest supported among them (test_servers names those that are not)."""
    if request.param == SIMULATED:
        yield None
        return
    with RedisProcess(program=server_program(request.param)) as server:
        yield server


@pytest.fixture
def client(redis_server: RedisProcess | None) -> Iterator[redis.Redis]:
    with SimulatedClient() if redis_server is None else redis_server.client as made:
        made.flushall()
        yield made
