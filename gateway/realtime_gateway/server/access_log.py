"""Where the access log goes, in Daphne's format."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from daphne.access import AccessLogGenerator

from realtime_gateway.errors import ConfigurationError

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
        with ExitStack() as closing:
            try:
                stream = closing.enter_context(open(target, "a", buffering=1))
            except OSError as error:
                raise ConfigurationError(f"The access log {target} cannot be opened: {error.strerror}.") from error
            yield AccessLogGenerator(stream)
