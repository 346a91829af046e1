from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.hosts_command import RESOURCE
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import RedisChannelLayer


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisProcess]:
    """A server that a module's tests share; whoever hurts it starts one of his own."""
    with RedisProcess() as server:
        yield server


@pytest.fixture
async def make_layer() -> AsyncIterator[Callable[..., RedisChannelLayer]]:
    """Make layers, each as another process would have it; all are closed in the end."""
    made: list[RedisChannelLayer] = []

    def make(*hosts: Any, **options: Any) -> RedisChannelLayer:
        layer = RedisChannelLayer(hosts=list(hosts) or None, **options)
        made.append(layer)
        return layer

    yield make
    for layer in made:
        await layer.close()


@pytest.fixture
def three_servers() -> Iterator[tuple[RedisProcess, RedisProcess, RedisProcess]]:
    with RedisProcess() as one, RedisProcess() as two, RedisProcess() as three:
        yield one, two, three


@pytest.fixture
def resource(tmp_path: Path) -> Path:
    """A resource whose messages live for a second, so that it is what processes report that is waited for."""
    path = tmp_path / "gateway.yaml"
    path.write_text(RESOURCE)
    return path
