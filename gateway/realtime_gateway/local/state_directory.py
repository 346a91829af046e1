"""The directory of one run: taken by a lock, emptied of what a killed run left, removed at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from realtime_gateway.errors import StartError

# A name that no other program gives a file: a directory that has one is emptied.
LOCK = "realtime-gateway-up.lock"
# The watchdog of a killed run holds its lock until it has ended everything of that run.
CLEANING_SECONDS = 15.0
STEP_SECONDS = 0.1


class StateDirectory:
    """A directory that belongs to this process until ``remove``.

    Attributes:
        path: absolute.
        lock: the descriptor that holds the lock; whoever inherits it holds it too.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock

    @classmethod
    def take(cls, path: Path) -> StateDirectory:
        """Create ``path``, or take over and empty what an earlier run left of it.

        Raises:
            StartError: another run has it, or it holds files that are not of a run, or it cannot be written.
        """
        path = path.absolute()
        try:
            if path.exists() and not path.is_dir():
                raise StartError(f"{path} is not a directory.", "Name another one with --directory.")
            if path.is_dir() and any(path.iterdir()) and not (path / LOCK).exists():
                raise StartError(
                    f"{path} holds files that are not of an earlier run, and this directory is emptied.",
                    "Name another one with --directory.",
                )
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _lock(path)
        except OSError as error:
            raise StartError(f"{path}: {error.strerror}.", "Name another directory with --directory.") from error
        directory = cls(path, lock)
        directory._empty()
        return directory

    def write(self, file: Path, content: str | bytes) -> None:
        """Write a file that only this user can read, in one step for whoever reads it."""
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.new")
        temporary.touch(mode=0o600)
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(file)

    def remove(self) -> None:
        """Remove it, and the directory above when that is empty and was made for runs."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.parent.name == ".realtime-gateway":
            with suppress(OSError):  # another run's directory is in it
                self.path.parent.rmdir()
        os.close(self.lock)

    def _empty(self) -> None:
        for entry in self.path.iterdir():
            if entry.name == LOCK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _lock(path: Path) -> int:
    deadline = time.monotonic() + CLEANING_SECONDS
    while True:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode().strip()
            os.close(descriptor)
            if _is_alive(holder) or time.monotonic() > deadline:
                raise StartError(
                    f"{path} is in use by another `realtime-gateway up` (process {holder or 'unknown'}).",
                    "End that one, or give this run a directory of its own with --directory.",
                ) from None
            time.sleep(STEP_SECONDS)
            continue
        if _is_the_file(descriptor, path / LOCK):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)  # its last holder removed it between our two steps


def _is_the_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _is_alive(holder: str) -> bool:
    if not holder.isdecimal():
        return True  # it has the lock and is about to write who it is
    try:
        os.kill(int(holder), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
