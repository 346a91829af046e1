"""The layer with each redis-py that it promises to work with, the oldest first; every other test has the newest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.support.fetched import fetched_library

CHECKOUT = Path(__file__).resolve().parents[2]
# What the layer promises, over one shard and over every form of host, over connections that break or are idle.
CASES = (
    "tests/contract/test_specification.py",
    "tests/contract/test_promises.py",
    "tests/integration/redis/test_hosts.py",
    "tests/integration/redis/test_reconnecting.py",
)
CHOSEN = "(contract and shard and not three) or test_hosts or idle or killed or password"


def oldest_version() -> str:
    """Return the lower bound in pyproject.toml."""
    wanted = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
    found = re.search(r"^redis\[hiredis\]>=(\S+)$", "\n".join(wanted), re.MULTILINE)
    assert found
    return found.group(1)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("requirement", [f"redis=={oldest_version()}", "redis==6.*", "redis==7.*"])
def test_older_redis_py_serve_as_well_as_the_newest(requirement: str) -> None:
    library = fetched_library(requirement, pip=("--no-deps",))
    environment = {**os.environ, "PYTHONPATH": str(library)}
    seen = subprocess.run(
        [sys.executable, "-c", "import redis; print(redis.__version__)"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert seen.stdout.startswith(requirement.removeprefix("redis==").removesuffix("*"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", CHOSEN, *CASES],
        env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
