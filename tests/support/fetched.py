"""What a few tests need and nothing else does: fetched with pip into a cache outside the checkout, or skipped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

_SECONDS = 300


def cache_directory() -> Path:
    """Where it is kept from one run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "realtime-gateway" / "tests" / f"python{sys.version_info.major}.{sys.version_info.minor}"


def fetched_library(*requirements: str, pip: tuple[str, ...] = ()) -> Path:
    """Return a directory for PYTHONPATH with packages that do not go together with what is installed."""
    wanted = _cached(re.sub(r"[^\w.-]", "_", "_".join((*requirements, *pip))))
    if not wanted.exists():
        with tempfile.TemporaryDirectory(dir=wanted.parent) as made:
            _pip(requirements[0], "install", *pip, "--target", f"{made}/library", *requirements)
            Path(made, "library").rename(wanted)
    return wanted


def fetched_sdist(name: str, version: str) -> Path:
    """Return the directory that a project's sdist unpacks to."""
    wanted = _cached(f"{name.replace('-', '_')}-{version}")
    if not wanted.exists():
        with tempfile.TemporaryDirectory(dir=wanted.parent) as made:
            _pip(name, "download", "--no-deps", "--no-binary", name, "--dest", made, f"{name}=={version}")
            with tarfile.open(next(Path(made).glob("*.tar.gz"))) as archive:
                archive.extractall(made, filter="data")
            (Path(made) / wanted.name).rename(wanted)
    return wanted


def _cached(name: str) -> Path:
    directory = cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    return directory / name


def _pip(wanted: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{wanted} cannot be fetched: pip did not end within {_SECONDS} s")
    if done.returncode:
        pytest.skip(f"{wanted} cannot be fetched: {done.stderr.strip().splitlines()[-1:]}")
