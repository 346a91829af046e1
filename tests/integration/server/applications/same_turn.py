"""A server to which two things happen in one turn of the event loop: ``python same_turn.py signal`` or ``run``."""

import asyncio
import logging
import sys

from realtime_gateway.server.gateway_server import GatewayServer
from realtime_gateway.server.options import ServerOptions

begun, may_end = asyncio.Event(), asyncio.Event()


async def application(scope, receive, send):
    if scope["type"] != "lifespan":
        begun.set()
        await may_end.wait()
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("shut down", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


class ToldToStopAsItIsReady(GatewayServer):
    async def _listen(self):
        await super()._listen()
        self._asked_to_stop()

    async def _wait(self, seconds):
        print("accepts in phase", self.phase.value, flush=True)


class LastRunEndsAsItIsCut(GatewayServer):
    async def _listen(self):
        await super()._listen()
        _, writer = await asyncio.open_connection(*self.listening_addresses[0])
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()

    async def _until_quiet(self, deadline):
        may_end.set()
        await asyncio.sleep(0)  # its task ends; who waits for that hears in the next turn

    async def _cut_the_rest(self):
        print("runs to cut:", len(self._runs), flush=True)
        await super()._cut_the_rest()


def serve(kind):
    options = ServerOptions(drain_accept_seconds=0.5, drain_period_seconds=0)
    server = kind(application, ["tcp:port=0:interface=127.0.0.1"], options=options)
    server.ready_callable = server.drain
    server.run()


logging.basicConfig(level=logging.INFO)
serve({"signal": ToldToStopAsItIsReady, "run": LastRunEndsAsItIsCut}[sys.argv[1]])
