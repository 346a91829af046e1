from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
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
