from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.contract.backends import OURS, UPSTREAM, Deployment, Servers, deployed, run_servers


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    yield from run_servers()


@pytest.fixture(params=[*UPSTREAM, *OURS])
async def anywhere(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Deployment]:
    async with deployed(request.param, servers) as deployment:
        yield deployment


@pytest.fixture(params=OURS)
async def ours(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Deployment]:
    async with deployed(request.param, servers) as deployment:
        yield deployment
