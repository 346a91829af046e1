"""Building the project's images with buildah, as `docker build` would from the same Dockerfile."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILDAH = ROOT / "tests" / "cluster" / "node" / "buildah.sh"

# The node has these from the start.
PYTHON = "realtime-gateway.test/python:1"
ECHO = "realtime-gateway.test/echo:1"
REDIS = "realtime-gateway.test/redis:1"


def build(name: str, context: Path, *options: str) -> str:
    """Build an image from a Dockerfile and return its name.

    Raises:
        AssertionError: the build failed; the message ends with what it wrote.
    """
    command: list[str | Path] = [BUILDAH, "build", "--layers", "-t", name, *options, context]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"building {name} failed:\n{(result.stdout + result.stderr)[-4000:]}"
    return name


def archive(name: str, directory: Path) -> Path:
    """Write a built image to one file, as `docker save` does: of the known forms, the one without compression."""
    path = directory / "image.tar"
    command: list[str | Path] = [BUILDAH, "push", "--quiet", name, f"docker-archive:{path}:{name}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path
