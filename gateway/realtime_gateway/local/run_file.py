"""What a run of `up` leaves in its directory for other commands: where it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from realtime_gateway.errors import StartError

NAME = "run.json"


@dataclass(frozen=True)
class RunFile:
    """Where a run is.

    Attributes:
        url: of its public port.
        console: of its console, with a slash at the end.
    """

    url: str
    console: str

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps(asdict(self)) + "\n"


def read_run_file(directory: Path) -> RunFile:
    """Return where the run in a directory is.

    Raises:
        StartError: none is there.
    """
    try:
        found = json.loads((directory / NAME).read_text())
        return RunFile(str(found["url"]), str(found["console"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartError(
            f"No `realtime-gateway up` runs in {directory}.",
            "Start one, give its directory, or give the URL of a WebSocket with --admin.",
        ) from error
