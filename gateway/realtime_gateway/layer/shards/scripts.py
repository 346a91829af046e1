"""The Lua scripts beside this module, by name. Each file's head documents its keys, arguments and return."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files

NAMES = (
    "publish", "fence", "join", "read", "pop", "put_back", "member", "groups", "members", "carry", "drop", "heartbeat",
    "lease", "full", "sign", "tokens", "places", "keep",
)  # fmt: skip


@dataclass(frozen=True)
class Script:
    """A script and the digest by which Redis knows it once loaded."""

    name: str
    text: str
    digest: str


@cache
def load() -> dict[str, Script]:
    """Read all scripts, once."""
    found = {}
    for name in NAMES:
        text = files(__package__).joinpath(f"{name}.lua").read_text()
        found[name] = Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())
    return found
