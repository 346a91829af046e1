from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.backends import Servers, run_servers


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    yield from run_servers()
