"""What the command line of `up` says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
# Under the directory that the command is run in, so that two checkouts do not share anything.
DIRECTORIES = Path(".realtime-gateway")


@dataclass(frozen=True)
class UpOptions:
    """The command line.

    Attributes:
        file: the resource, as given.
        host: address of the public port.
        port: the public port.
        directory: for the run's files; None for one named after the resource.
        project: where the application is imported; None for the directory of the file.
        plain: lines instead of a table, on a terminal too.
    """

    file: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    directory: Path | None = None
    project: Path | None = None
    plain: bool = False

    @property
    def project_directory(self) -> Path:
        """Where the application is imported, absolute."""
        return (self.project or self.file.parent).absolute()

    def state_directory(self, resource_name: str) -> Path:
        """Where the run keeps its files."""
        return (self.directory or DIRECTORIES / resource_name).absolute()
