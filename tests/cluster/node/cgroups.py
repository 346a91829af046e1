"""Control groups below this process's own, so that all of a cluster can be limited, counted and found again."""

from __future__ import annotations

import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
REMOVAL_SECONDS = 30.0


def parents() -> list[Path]:
    """Return the folders to make groups in: one for each controller of version 1, or the root of version 2.

    Version 2 forbids limited groups below one that holds processes, as this process's own does; the root may.
    """
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    return [ROOT / controller.removeprefix("name=") / path.lstrip("/") for _, controller, path in lines if controller]


def make(parent: Path, name: str) -> Path:
    """Make a group below another that can limit whatever its parent can."""
    group = parent / name
    group.mkdir(exist_ok=True)
    for inherited in ("cpuset.cpus", "cpuset.mems"):  # empty at first in version 1, and then nothing can run
        if (parent / inherited).exists() and (ROOT / "cgroup.controllers").exists() is False:
            (group / inherited).write_text((parent / inherited).read_text())
    controllers = parent / "cgroup.controllers"
    if controllers.exists():
        wanted = " ".join(f"+{controller}" for controller in controllers.read_text().split())
        (parent / "cgroup.subtree_control").write_text(wanted)
    return group


def remove(group: Path) -> None:
    """Remove a group and all below it, as soon as the last process in it has gone."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    folders = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
    for folder in [*folders, group]:
        while folder.exists():
            try:
                folder.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
