"""Errors of a shard that pass by themselves: what was refused with one is tried again until its sender's time is up."""

from __future__ import annotations

# Of a server that is no longer the primary, or not yet: the link has to look for the shard again.
DEMOTED = frozenset({"READONLY"})
PASSING = DEMOTED | {"LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS", "CLUSTERDOWN", "UNKILLABLE", "KILLED"}
# The first word says nothing in these.
_KILLED = "Script killed by user"
_NO_ROOM = "ERR max number of clients reached"


def passes(text: str) -> bool:
    """Whether an error, as Redis words it, passes by itself."""
    return text.partition(" ")[0] in PASSING or text.startswith(_NO_ROOM) or _KILLED in text
