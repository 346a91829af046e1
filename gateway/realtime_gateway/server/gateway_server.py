"""The server: what Daphne's ``Server`` is, with its run, its ends and its bookkeeping replaced.

It builds the factories, opens the sockets, starts applications, and owns the drain; see the package's docstring for how
to run it from a program.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable
from random import random
from typing import Any

from realtime_gateway.server import installed_reactor  # noqa: F401 - for its effect: the choice of a reactor

# isort: split
from daphne import server as daphne_server
from twisted.internet import reactor as _reactor
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    STDLibLogObserver,
    globalLogBeginner,
)

from realtime_gateway import endings
from realtime_gateway.errors import GatewayError, StartError
from realtime_gateway.resource.ending_times import FRESH_SECONDS, LAST_WORDS_SECONDS, SHUTDOWN_SECONDS
from realtime_gateway.security.limit_log import LimitLog
from realtime_gateway.server import admission
from realtime_gateway.server.admin import admin_site
from realtime_gateway.server.application_run import Application, ApplicationRun, Receive, Send
from realtime_gateway.server.channel import GatewayHTTPFactory
from realtime_gateway.server.client_address import TrustedProxies
from realtime_gateway.server.deflate import Compression, Settings
from realtime_gateway.server.drain import Pace, Phase, closing_times, come_back_seconds
from realtime_gateway.server.http import GatewayRequest
from realtime_gateway.server.keepalive import age_seconds
from realtime_gateway.server.last_resort import LastResort
from realtime_gateway.server.lean_protocol import lean_factory
from realtime_gateway.server.lifespan import Lifespan
from realtime_gateway.server.listening import Listeners
from realtime_gateway.server.loop_watchdog import LoopWatchdog
from realtime_gateway.server.options import ServerOptions, TcpAddress, parse_address
from realtime_gateway.server.reactor import installed_loop
from realtime_gateway.server.request_facts import RequestFacts
from realtime_gateway.server.websocket import GatewayWebSocket
from realtime_gateway.server.wheel import Wheel

logger = logging.getLogger("realtime_gateway.server")

# Twisted's module attribute is typed as a module; it is the reactor that installed_reactor put there.
reactor: Any = _reactor

# daphne.server makes a loop that it never runs once ours is installed; its selector would stay open.
if daphne_server.twisted_loop is not installed_loop():
    daphne_server.twisted_loop.close()

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
ADMIN_BACKLOG = 128


class GatewayServer(daphne_server.Server):
    """Daphne's constructor and methods, and a life that ends well.

    Args:
        application: an ASGI 3 application.
        endpoints: where to listen, as Twisted's endpoint descriptions.
        options: what Daphne does not have.
        process_name: what to call this process on the admin port.
        daphne_arguments: any other argument of ``daphne.server.Server``.
    """

    def __init__(
        self,
        application: Application,
        endpoints: list[str] | None = None,
        *,
        options: ServerOptions | None = None,
        process_name: str | None = None,
        **daphne_arguments: Any,
    ) -> None:
        super().__init__(application, endpoints=endpoints, **daphne_arguments)
        self.options = options or ServerOptions()
        self.process_name = process_name
        self.phase = Phase.STARTING
        self.accepting = False
        self.loop = installed_loop()
        self.wheel = Wheel(self.loop.time, self.loop.call_at, self.loop.call_soon)
        self.limit_log = LimitLog(self.wheel.call_later, logger)
        self._admission = admission.Admission(
            admission.Limits(
                self.options.max_connections,
                self.options.max_connections_per_address,
                self.options.handshakes_per_second,
            )
        )
        self.trusted_proxies = TrustedProxies(self.options.trusted_proxies)
        self.compression = Compression(
            Settings(
                self.options.compression,
                self.options.compression_window_bits,
                self.options.compression_context_bytes,
                self.options.compression_least_bytes,
            )
        )
        self.http_factory = GatewayHTTPFactory(self, GatewayRequest)
        self.ws_factory = lean_factory(self, GatewayWebSocket)
        self._lifespan = Lifespan(application)
        backlog, share = self.options.listen_backlog, self.options.reuse_port
        self._listeners = Listeners(reactor, self.loop, self.http_factory, backlog, reuse_port=share)
        self._admin = Listeners(reactor, self.loop, admin_site(process_name, lambda: self.phase), ADMIN_BACKLOG)
        self._requests: set[GatewayRequest] = set()
        self._websockets: dict[GatewayWebSocket, None] = {}  # in order of arrival
        self._runs: set[ApplicationRun] = set()
        self._run_ended = self._runs.discard  # one for all
        # What is done when applications have ended, on the server's loop.
        self.last_act: Callable[[], Awaitable[None]] | None = None
        self._start: asyncio.Task[None] | None = None
        self._end: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._failure: BaseException | None = None
        self._last_resort: LastResort | None = None
        self._watchdog: LoopWatchdog | None = None

    # The way from start to end.

    def run(self) -> None:
        """Serve until ``drain``, ``stop`` or a signal; once per process.

        Raises:
            StartError: a socket could not be opened, or the application's start-up failed.
        """
        _quieten_twisted(self.verbosity)
        asyncio.set_event_loop(self.loop)
        if self.verbosity >= 3:
            self.loop.set_debug(True)
        reactor.callWhenRunning(self._begin)
        try:
            reactor.run(installSignalHandlers=False)
        finally:
            if self._last_resort is not None:
                self._last_resort.dismiss()
        if self._failure is not None:
            raise self._failure

    def drain(self) -> None:
        """End in order: the first call starts a drain, a second one hurries it. From any thread."""
        self.loop.call_soon_threadsafe(self._asked_to_stop)

    def stop(self) -> None:
        """End at once: cut every connection, but let applications see it. From any thread."""
        self.loop.call_soon_threadsafe(self._asked_to_stop)
        self.loop.call_soon_threadsafe(self._hurry.set)

    def _begin(self) -> None:
        if self.signal_handlers:
            for number in STOP_SIGNALS:
                self.loop.add_signal_handler(number, self._asked_to_stop)
        self._start = self.loop.create_task(self._start_up())

    async def _start_up(self) -> None:
        if self.signal_handlers:  # in here, since uvloop takes the signals' descriptor when it begins to run
            window_seconds = self.options.drain_accept_seconds + self.options.drain_period_seconds
            self._last_resort = LastResort(self.loop, STOP_SIGNALS, window_seconds)
        try:
            await self._lifespan.startup()
            await self._listen()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._failure = (
                error if isinstance(error, GatewayError) else StartError(f"The server cannot start: {error}")
            )
            self._failure.__cause__ = error if self._failure is not error else error.__cause__
            self._asked_to_stop()
            self._hurry.set()
            return
        if self._end is not None:  # a signal of this very turn: it comes first
            return
        self.phase = Phase.SERVING
        self.accepting = True
        if self.options.blocked_loop_seconds:
            self._watchdog = LoopWatchdog(self.loop, self.options.blocked_loop_seconds)
        if self.ready_callable:
            self.ready_callable()

    async def _listen(self) -> None:
        options = self.options
        if options.admin_port:
            await self._admin.open(TcpAddress(options.admin_bind, options.admin_port))
        for description in self.endpoints:
            self.listen_success(await self._listeners.open(parse_address(str(description))))

    # The drain.

    def _asked_to_stop(self) -> None:
        if self._end is None:
            if self.phase is Phase.SERVING:
                logger.info("Draining: %d WebSockets, %d requests", len(self._websockets), len(self._requests))
            self.phase = Phase.NOT_READY
            self._end = self.loop.create_task(self._wind_down())
        else:
            self._hurry.set()

    async def _wind_down(self) -> None:
        try:
            if self._start is not None and not self._start.done():
                self._start.cancel()
                await asyncio.gather(self._start, return_exceptions=True)
            await self._wait(self.options.drain_accept_seconds if self.accepting else 0)
            await self._stop_accepting()
            self.phase = Phase.CLOSING
            deadline = self.loop.time() + self.options.drain_period_seconds
            await self._close_websockets()
            if self._websockets:  # the last one has as long to answer as the first had
                deadline = max(deadline, self.loop.time() + self.options.close_timeout_seconds)
            await self._until_quiet(deadline)
            await self._cut_the_rest()
            await self._shut_down(deadline)
            if self.last_act is not None:
                await self.last_act()
            await self._admin.close()
        except Exception:
            logger.exception("The drain failed; stopping at once")
        finally:
            self.phase = Phase.STOPPED
            if self._watchdog is not None:
                self._watchdog.dismiss()
            await self._cancel_stray_tasks()
            reactor.stop()

    async def _wait(self, seconds: float) -> None:
        """Wait, or less when somebody hurries."""
        if seconds > 0 and not self._hurry.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), seconds)

    async def _stop_accepting(self) -> None:
        self._listeners.accept_waiting()
        if self.http_factory.has_fresh_channels():
            await asyncio.sleep(FRESH_SECONDS)
        self.accepting = False
        await self._listeners.close()
        self.http_factory.end_idle_channels()

    async def _close_websockets(self) -> None:
        options = self.options
        pace = Pace(options.drain_period_seconds, options.drain_jitter, options.drain_slowest_per_second)
        websockets = list(self._websockets)
        count, times = len(websockets), closing_times(len(websockets), pace, random)
        began, window_seconds = self.loop.time(), max(times, default=0)
        for index, (websocket, at) in enumerate(zip(websockets, times, strict=True)):
            await self._wait(began + at - self.loop.time())
            if window_seconds and self._hurry.is_set():  # those that are left leave at once
                count, window_seconds = len(websockets) - index, 0
            self._send_away(websocket, count, window_seconds)

    def _send_away(self, websocket: GatewayWebSocket, count: int, window_seconds: float) -> None:
        seconds = come_back_seconds(count, window_seconds, random)
        websocket.end(endings.restarting(seconds), seconds)

    async def _until_quiet(self, deadline: float) -> None:
        """Wait for the applications to end and for what is written to leave, until the deadline or a second signal."""
        while self.loop.time() < deadline and not self._hurry.is_set():
            if not (self._runs or reactor.getWriters() or self.http_factory.is_sending()):
                break
            await self._wait(0.02)

    async def _cut_the_rest(self) -> None:
        if not self._runs:
            return
        logger.warning("Cutting off %d connections that have not ended in time", len(self._runs))
        for websocket in list(self._websockets):
            self._send_away(websocket, len(self._websockets), 0)
        await asyncio.sleep(0)  # one turn for the close frames to leave
        peers: list[GatewayWebSocket | GatewayRequest] = [*self._websockets, *self._requests]
        for peer in peers:
            peer.cut()
        # Their applications see the disconnect, and end as they would for any client that leaves.
        tasks = [run.task for run in self._runs if run.task is not None]
        if not tasks:  # the last one has ended in that turn
            return
        _, pending = await asyncio.wait(tasks, timeout=LAST_WORDS_SECONDS)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=LAST_WORDS_SECONDS)

    async def _shut_down(self, deadline: float) -> None:
        """Run the lifespan's shutdown, for as long as it may take or until a signal that comes after it began."""
        self._hurry.clear()
        shutdown = self.loop.create_task(self._lifespan.shutdown())
        hurried = self.loop.create_task(self._hurry.wait())
        seconds = max(deadline - self.loop.time(), SHUTDOWN_SECONDS)
        await asyncio.wait({shutdown, hurried}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not shutdown.done():
            logger.warning("The application's shutdown has not ended in time; leaving without it")
            shutdown.cancel()
            return
        shutdown.result()

    async def _cancel_stray_tasks(self) -> None:
        """Cancel what is left on the loop: the tasks that applications have started and forgotten."""
        stray = asyncio.all_tasks(self.loop) - {asyncio.current_task()}
        for task in stray:
            task.cancel()
        if stray:
            await asyncio.wait(stray, timeout=LAST_WORDS_SECONDS)

    # What the protocols call.

    def start_application(self, peer: Any, scope: dict[str, Any], receive: Receive, send: Send) -> ApplicationRun:
        """Start the application for one connection or request."""
        run = ApplicationRun(self.loop, peer, self.application_close_timeout, self._run_ended)
        self._runs.add(run)
        run.start(self.application, scope, receive, send)
        return run

    def scope_state(self) -> dict[str, Any]:
        """Return the scope's ``state``, when the application's lifespan has made one."""
        return {} if self._lifespan.state is None else {"state": dict(self._lifespan.state)}

    def no_room(self, facts: RequestFacts) -> admission.Refused | None:
        """Say why no further WebSocket may come in now, or None; who is refused is to be answered."""
        refused = self._refusal(facts)
        if refused is not None and refused is not admission.DRAINING:
            client = facts.client[0] if facts.client else "a client"
            self.limit_log.met(refused.limit, client, f"answered with {refused.ending.status}")
        return refused

    def admits(self, facts: RequestFacts) -> bool:
        """Say whether one more WebSocket may come in now; who may not is to be asked about again, to be answered."""
        return self._refusal(facts) is None

    def _refusal(self, facts: RequestFacts) -> admission.Refused | None:
        if self.phase.draining and not self.accepting:
            return admission.DRAINING
        return self._admission.ask(facts.client[0] if facts.client else None, self.loop.time())

    def websocket_arrived(self, websocket: GatewayWebSocket) -> None:
        """A handshake has begun."""
        self._websockets[websocket] = None
        self._admission.arrived(websocket.client_addr[0] if websocket.client_addr else None)

    def age_seconds(self) -> float | None:
        """Return how long a WebSocket that opens now may live."""
        return age_seconds(self.options.max_age_seconds, self.websocket_timeout, random)

    def websocket_gone(self, websocket: GatewayWebSocket) -> None:
        """A WebSocket's transport is lost."""
        if websocket in self._websockets:
            del self._websockets[websocket]
            self._admission.gone(websocket.client_addr[0] if websocket.client_addr else None)

    def protocol_connected(self, protocol: GatewayRequest) -> None:
        """A request has begun; Daphne's request class calls this."""
        self._requests.add(protocol)

    def protocol_disconnected(self, protocol: GatewayRequest) -> None:
        """A request is over, in whichever way; Daphne's request class calls this, sometimes twice."""
        if protocol in self._requests:
            self._requests.discard(protocol)
            protocol.gone()


def _quieten_twisted(verbosity: int) -> None:
    """Send Twisted's log to ours: errors always, the rest from verbosity 2."""
    observer: Callable[..., None] = STDLibLogObserver("realtime_gateway.twisted")
    if verbosity <= 1:
        observer = FilteringLogObserver(observer, [LogLevelFilterPredicate(LogLevel.error)])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
