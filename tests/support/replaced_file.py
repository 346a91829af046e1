"""A file that is replaced whole, as an editor or a mounted Secret does it: no reader sees a part of it."""

from __future__ import annotations

from pathlib import Path


def put(path: Path, content: str | bytes) -> Path:
    """Write beside the file and rename over it; return its path."""
    replacement = path.with_name(f".{path.name}.new")
    replacement.write_bytes(content.encode() if isinstance(content, str) else content)
    return replacement.replace(path)
