"""Which event loop the server runs on, decided once and before Daphne is imported.

``daphne.server`` makes a loop and installs a reactor when it is imported, but leaves an asyncio reactor that is already
there alone. So ours is installed first, over a uvloop loop made by hand: no event-loop policy is set, and loops that
other code makes in this process stay what they would have been.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from importlib.util import find_spec

from realtime_gateway.errors import ConfigurationError

logger = logging.getLogger("realtime_gateway.server")

LOOPS = ("auto", "uvloop", "asyncio")


def install_reactor(loop: str = "auto") -> None:
    """Install Twisted's asyncio reactor over the chosen loop, unless an asyncio reactor is installed already.

    Args:
        loop: ``uvloop``, ``asyncio``, or ``auto`` for uvloop where it is installed.

    Raises:
        ConfigurationError: uvloop is asked for and not installed.
    """
    from twisted.internet import asyncioreactor

    present = sys.modules.get("twisted.internet.reactor")
    if isinstance(present, asyncioreactor.AsyncioSelectorReactor):
        return
    if present is not None:
        # As Daphne does: something imported Twisted's default reactor before us, and nothing can be running on it yet.
        logger.warning("Replacing the reactor %s that something has installed; import the server first", type(present))
        del sys.modules["twisted.internet.reactor"]
    asyncioreactor.install(new_event_loop(loop))


def new_event_loop(loop: str) -> asyncio.AbstractEventLoop:
    """Make an event loop of the chosen kind."""
    has_uvloop = find_spec("uvloop") is not None
    if loop == "uvloop" and not has_uvloop:
        raise ConfigurationError("--loop uvloop: uvloop is not installed.", "Install uvloop, or use --loop asyncio.")
    if loop == "asyncio" or not has_uvloop:
        return asyncio.new_event_loop()
    import uvloop

    made: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return made


def installed_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that the installed reactor runs on."""
    from twisted.internet import reactor

    # The reactor keeps its loop under this name only; Daphne reads it the same way.
    loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
    return loop
