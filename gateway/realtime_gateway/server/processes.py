"""`serve --processes N`: one small parent and N servers that share a port.

On Linux each child binds the port itself with SO_REUSEPORT and the kernel spreads new connections over them; the parent
only holds the port. Elsewhere SO_REUSEPORT does not balance, so there, and for Unix and inherited sockets, all children
accept from one socket that the parent has opened.

Each child holds one end of a socket pair: it says ``ready`` on it, and drains when the other end closes, so that no
child outlives a parent that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from realtime_gateway.errors import StartError
from realtime_gateway.server.listening import hold_port, open_socket
from realtime_gateway.server.options import Address, InheritedSocket, TcpAddress, TwistedEndpoint, UnixAddress

logger = logging.getLogger("realtime_gateway.server")

READY = b"ready\n"
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A child that has lived this long is healthy: its next end starts the pauses over.
HEALTHY_SECONDS = 60.0


def pause_seconds(failures: int) -> float:
    """Return how long to wait before a child that has failed this many times in a row is started again."""
    return float(min(FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 16), LONGEST_PAUSE_SECONDS))


@dataclass(frozen=True)
class SharedSockets:
    """What children listen on.

    Attributes:
        sockets: held open by the parent.
        addresses: what each child is told to listen on.
        reuse_port: whether each child binds for itself.
        unix_paths: those that we have made.
    """

    sockets: tuple[socket.socket, ...]
    addresses: tuple[Address, ...]
    reuse_port: bool
    unix_paths: tuple[str, ...] = ()

    @property
    def fds(self) -> tuple[int, ...]:
        """File descriptors that children inherit."""
        return () if self.reuse_port else tuple(held.fileno() for held in self.sockets)

    def close(self) -> None:
        """Let go of the addresses; a Unix socket's path goes too."""
        for held in self.sockets:
            path = held.getsockname() if held.family == socket.AF_UNIX else None
            held.close()
            if path and path in self.unix_paths:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)


def share(addresses: Sequence[Address], backlog: int, *, reuse_port: bool) -> SharedSockets:
    """Hold or open what children will listen on.

    Args:
        addresses: where to listen.
        backlog: connections that the kernel keeps waiting, per socket.
        reuse_port: the port may be shared with processes that are not our children.

    Raises:
        StartError: an address cannot be had, or cannot be shared.
    """
    if any(isinstance(address, TwistedEndpoint) for address in addresses):
        raise StartError("--processes cannot share a Twisted endpoint.", "Listen with -p, -u or --fd.")
    balanced = sys.platform == "linux" and all(isinstance(address, TcpAddress) for address in addresses)
    held: list[socket.socket] = []
    try:
        for address in addresses:
            if balanced and isinstance(address, TcpAddress):
                held.append(_hold(address, backlog, reuse_port=reuse_port))
                continue
            opened = open_socket(address, backlog, reuse_port=reuse_port)
            assert opened is not None, "only Twisted's endpoints are not opened by us"
            held.append(opened)
    except BaseException:
        SharedSockets(tuple(held), (), balanced).close()
        raise
    if balanced:
        given: list[Address] = [TcpAddress(*each.getsockname()[:2]) for each in held]
    else:
        given = [InheritedSocket(each.fileno()) for each in held]
    paths = tuple(address.path for address in addresses if isinstance(address, UnixAddress))
    return SharedSockets(tuple(held), tuple(given), balanced, paths)


def _hold(address: TcpAddress, backlog: int, *, reuse_port: bool) -> socket.socket:
    """Bind without listening: the port is ours, and the kernel gives this socket no connections."""
    if not reuse_port and address.port:
        # SO_REUSEPORT would let us in beside another server of the same user, silently.
        alone = open_socket(address, backlog)
        assert alone is not None, "a TCP address is opened by us"
        alone.close()
    return hold_port(address)


@dataclass
class _Child:
    index: int
    process: asyncio.subprocess.Process | None = None


class Processes:
    """The parent's view of its children.

    Args:
        count: how many.
        command: (index, file descriptor of its end of the socket pair) → the child's command line and environment.
        fds: file descriptors that every child inherits.
    """

    def __init__(
        self, count: int, command: Callable[[int, int], tuple[list[str], dict[str, str]]], fds: tuple[int, ...]
    ) -> None:
        self._children = [_Child(index) for index in range(count)]
        self._command = command
        self._fds = fds
        self._stopping = asyncio.Event()
        self._failed: StartError | None = None
        self._ready_count = 0
        self._all_were_ready = False

    async def run(self, ready: Callable[[], None]) -> int:
        """Keep the children running until told to stop; return the exit code.

        Args:
            ready: called once, when every child accepts connections.

        Raises:
            StartError: a child ended before all of them had become ready.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        codes = await asyncio.gather(*(self._keep(child, ready) for child in self._children))
        if self._failed is not None:
            raise self._failed
        return max(codes)

    def _asked_to_stop(self) -> None:
        self._stopping.set()
        for child in self._children:
            if child.process is not None and child.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.process.send_signal(signal.SIGTERM)

    async def _keep(self, child: _Child, ready: Callable[[], None]) -> int:
        """Start one child again and again until the parent is told to stop; return its last exit code as 0 or 1."""
        failures = 0
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            code = await self._live(child, ready)
            if self._stopping.is_set():
                return int(code != 0)
            if not self._all_were_ready:
                self._failed = StartError(
                    f"Process {child.index + 1} of {len(self._children)} ended with {code} before it was ready.",
                    "Its own message is above.",
                )
                self._asked_to_stop()
                return 1
            failures = 1 if loop.time() - began > HEALTHY_SECONDS else failures + 1
            pause = pause_seconds(failures)
            logger.warning("Process %d ended with %s; starting it again in %g s", child.index + 1, code, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
        return 0

    async def _live(self, child: _Child, ready: Callable[[], None]) -> int:
        """Run one child from its start to its end; return its exit code."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                words, environment = self._command(child.index, theirs.fileno())
                # A session of its own: Ctrl-C reaches the parent alone, which passes it on once.
                child.process = await asyncio.create_subprocess_exec(
                    *words, env=environment, pass_fds=(theirs.fileno(), *self._fds), start_new_session=True
                )
            if self._stopping.is_set():  # the signal came while it was being started
                child.process.send_signal(signal.SIGTERM)
            listening = asyncio.create_task(self._hear_ready(ours, ready))
            try:
                return await child.process.wait()
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _hear_ready(self, ours: socket.socket, ready: Callable[[], None]) -> None:
        ours.setblocking(False)
        if await asyncio.get_running_loop().sock_recv(ours, len(READY)) and not self._all_were_ready:
            self._ready_count += 1
            if self._ready_count == len(self._children):
                self._all_were_ready = True
                ready()


class ParentLine:
    """A child's end of the socket pair.

    Args:
        fd: inherited; closed with this object.
        parent_gone: called once, on the loop, when the parent has died.
    """

    def __init__(self, fd: int, loop: asyncio.AbstractEventLoop, parent_gone: Callable[[], None]) -> None:
        self._socket = socket.socket(fileno=fd)
        self._loop = loop
        self._parent_gone = parent_gone
        os.set_inheritable(fd, False)
        loop.add_reader(fd, self._heard)

    def say_ready(self) -> None:
        """Tell the parent that connections are accepted."""
        with contextlib.suppress(OSError):
            self._socket.sendall(READY)

    def _heard(self) -> None:
        # The parent never sends: what there is to read is its end.
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._parent_gone()
