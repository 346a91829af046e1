"""Where the access log goes, in Daphne's format."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from daphne.access import AccessLogGenerator

ActionLogger = Callable[[str, str, dict[str, Any]], None]


@contextmanager
def access_log(target: str | None, *, by_default: bool) -> Iterator[ActionLogger | None]:
    """Yield what the server calls for each entry, or None.

    Args:
        target: a file to append to; ``-`` is stdout; None is stdout or nothing, by default.
        by_default: whether None means stdout.
    """
    if target is None and not by_default:
        yield None
    elif target is None or target == "-":
        yield AccessLogGenerator(sys.stdout)
    else:
        with open(target, "a", buffering=1) as stream:
            yield AccessLogGenerator(stream)
