"""Tells whether functions of Channels are those that our patches were made for and tested with."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def digest(*functions: Callable[..., Any]) -> str:
    """Return the SHA-256 of the functions' sources, one behind the other; "" where one cannot be had."""
    with suppress(OSError, TypeError):
        return hashlib.sha256("".join(map(inspect.getsource, functions)).encode()).hexdigest()
    return ""
