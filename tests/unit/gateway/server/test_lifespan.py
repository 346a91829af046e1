import asyncio
import logging

import pytest

from realtime_gateway.errors import StartError
from realtime_gateway.server.lifespan import Lifespan


async def by_the_book(scope, receive, send):
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"]["key"] = "value"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def test_the_state_is_what_the_application_made():
    lifespan = Lifespan(by_the_book)
    await lifespan.startup()
    assert lifespan.state == {"key": "value"}
    await lifespan.shutdown()


async def test_an_application_that_raises_is_served_without():
    async def raising(scope, receive, send):
        raise ValueError

    lifespan = Lifespan(raising)
    await lifespan.startup()
    assert lifespan.state is None
    await lifespan.shutdown()


async def test_a_failed_startup_is_an_error_with_its_reason():
    async def failing(scope, receive, send):
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(StartError, match="no database"):
        await Lifespan(failing).startup()


@pytest.mark.parametrize("ends", ["raises", "fails"])
async def test_a_shutdown_that_goes_wrong_is_logged_and_no_more(ends: str, caplog):
    async def application(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if ends == "raises":
            raise RuntimeError("cannot close")
        await send({"type": "lifespan.shutdown.failed", "message": "cannot close"})

    lifespan = Lifespan(application)
    await lifespan.startup()
    with caplog.at_level(logging.ERROR):
        await lifespan.shutdown()
    assert "cannot close" in caplog.text


async def test_an_application_that_has_ended_meanwhile_does_not_hold_the_shutdown_up():
    async def leaving(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})

    lifespan = Lifespan(leaving)
    await lifespan.startup()
    await asyncio.wait_for(lifespan.shutdown(), 5)
