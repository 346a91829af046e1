"""channels_redis's suite, which only its sdist has: fetched with pip into a cache outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

VERSION = "4.3.0"
_SECONDS = 120


def cache_directory() -> Path:
    """Where what tests fetch is kept from one run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "realtime-gateway" / "tests"


def fetch_suite() -> tuple[Path, Path]:
    """Return the unpacked sdist and a directory with what only its tests import; skip without a registry."""
    cache = cache_directory()
    suite, library = cache / f"channels_redis-{VERSION}", cache / "async-timeout"
    cache.mkdir(parents=True, exist_ok=True)
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=cache) as made:
            _pip("install", "--target", f"{made}/library", "async-timeout")
            Path(made, "library").rename(library)
    if not suite.exists():
        with tempfile.TemporaryDirectory(dir=cache) as made:
            _pip("download", "--no-deps", "--no-binary", "channels-redis", "--dest", made, f"channels-redis=={VERSION}")
            with tarfile.open(next(Path(made).glob("*.tar.gz"))) as archive:
                archive.extractall(made, filter="data")
            (Path(made) / suite.name).rename(suite)
    return suite, library


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"channels_redis's suite cannot be fetched: pip did not answer within {_SECONDS} s")
    if done.returncode:
        pytest.skip(f"channels_redis's suite cannot be fetched: {done.stderr.strip().splitlines()[-1:]}")
