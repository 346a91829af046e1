"""Errors of a shard that pass by themselves: what was refused with one is tried again until its sender's time is up."""

from __future__ import annotations

PASSING = frozenset(
    {"LOADING", "BUSY", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS", "CLUSTERDOWN", "UNKILLABLE", "READONLY"}
)
