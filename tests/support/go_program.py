"""Programs that tests need and build from Go modules, once, into a cache outside the checkout."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "realtime-gateway"
BUILD_SECONDS = 900
# No way to the proxy, and a proxy that refuses a module or does not have it.
NOT_TO_BE_HAD = ("dial tcp", "reading http")


def built(sources: Path, name: str, what: str) -> Path:
    """Return the program, built where it is not there yet; skip the test where it cannot be had.

    Args:
        sources: a directory with main.go, go.mod and go.sum.
        name: of the program's directory in the cache.
        what: it is, for who reads why a test is skipped.
    """
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
    stamp = hashlib.sha256(b"".join((sources / file).read_bytes() for file in ("main.go", "go.mod", "go.sum")))
    program = CACHE / name / stamp.hexdigest()[:16]
    if program.exists():
        return program
    if go is None:
        pytest.skip(f"go is missing, with which {what} is built")
    program.parent.mkdir(parents=True, exist_ok=True)
    new = program.with_suffix(f".{os.getpid()}")
    command = [go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", str(new), "."]
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)
    if done.returncode and any(sign in done.stderr for sign in NOT_TO_BE_HAD):
        pytest.skip(f"the modules of {what} cannot be had from the Go module proxy")
    assert done.returncode == 0, done.stderr
    new.replace(program)
    return program
