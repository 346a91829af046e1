"""Sockets: bound by us, so that a port in use is an error with a name and several processes can share one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import stat
from typing import Any

from realtime_gateway.errors import StartError
from realtime_gateway.server.options import Address, InheritedSocket, TcpAddress, UnixAddress


def open_socket(address: Address, backlog: int, *, reuse_port: bool = False) -> socket.socket | None:
    """Return a listening, non-blocking socket for the address, or None when Twisted has to open it.

    Raises:
        StartError: the address cannot be had; the message names it.
    """
    try:
        if isinstance(address, TcpAddress):
            return _bind_tcp(address, backlog, reuse_port=reuse_port)
        if isinstance(address, UnixAddress):
            return _bind_unix(address, backlog)
        if isinstance(address, InheritedSocket):
            return _adopt(address, backlog)
    except OSError as error:
        raise _explain(address, error) from error
    return None


def hold_port(address: TcpAddress) -> socket.socket:
    """Return a socket that is bound and does not listen: the port is taken, and nobody connects to it.

    Raises:
        StartError: as above.
    """
    try:
        return _bind_tcp(address, 0, reuse_port=True)
    except OSError as error:
        raise _explain(address, error) from error


def _bind_tcp(address: TcpAddress, backlog: int, *, reuse_port: bool) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Accepted sockets inherit it on Linux; without it small frames wait for the client's delayed ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(where)
        if backlog:
            listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind_unix(address: UnixAddress, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_dead_socket(address.path)
        listener.bind(address.path)
        os.chmod(address.path, 0o666)  # noqa: S103  # as Twisted and Daphne: the directory is what protects it
        listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_dead_socket(path: str) -> None:
    """Remove a socket file that nobody listens on, left by a process that was killed."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


def _adopt(address: InheritedSocket, backlog: int) -> socket.socket:
    # The duplicate is ours to close; the inherited descriptor stays whoever's it is.
    listener = socket.socket(fileno=os.dup(address.fd))
    try:
        _check_that_it_can_listen(listener, address)
        if listener.family != socket.AF_UNIX:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener.listen(backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _check_that_it_can_listen(listener: socket.socket, address: InheritedSocket) -> None:
    """Refuse what is no stream, or one client's connection: what systemd passes with ListenDatagram or Accept=yes."""
    connected = True
    try:
        listener.getpeername()
    except OSError:
        connected = False
    if connected or listener.type != socket.SOCK_STREAM:
        what = "the connection of one client" if connected else "no stream socket"
        raise StartError(f"Cannot listen on {address}: it is {what}.", "In a systemd unit: ListenStream=, Accept=no.")


def _explain(address: Address, error: OSError) -> StartError:
    where = f"port {address.port} of {address.host}" if isinstance(address, TcpAddress) else str(address)
    if error.errno == errno.EADDRINUSE:
        return StartError(f"{where} is in use by another process.", "Stop that process, or listen somewhere else.")
    if error.errno == errno.EACCES:
        return StartError(f"{where} may not be opened by this user.", "Choose a port above 1023, or another path.")
    return StartError(f"Cannot listen on {where}: {error.strerror or error}.")


class Listeners:
    """The sockets that one server accepts on, from their opening to their end.

    Args:
        reactor: Twisted's, running.
        loop: the reactor's event loop.
        factory: makes the protocol of each connection.
        backlog: connections that the kernel keeps waiting, per socket.
        reuse_port: share TCP ports with other processes.
    """

    def __init__(
        self, reactor: Any, loop: asyncio.AbstractEventLoop, factory: Any, backlog: int, *, reuse_port: bool = False
    ) -> None:
        self._reactor = reactor
        self._loop = loop
        self._factory = factory
        self._backlog = backlog
        self._reuse_port = reuse_port
        self._ports: list[Any] = []
        self._unix_paths: list[str] = []

    async def open(self, address: Address) -> Any:
        """Listen on one more address; return Twisted's port.

        Raises:
            StartError: the address cannot be had; the message names it.
        """
        listener = open_socket(address, self._backlog, reuse_port=self._reuse_port)
        port = await self._by_twisted(str(address)) if listener is None else self._adopt(listener)
        if isinstance(address, UnixAddress):
            self._unix_paths.append(address.path)
        self._ports.append(port)
        return port

    async def _by_twisted(self, description: str) -> Any:
        from twisted.internet.endpoints import serverFromString

        try:
            endpoint = serverFromString(self._reactor, description)
            return await endpoint.listen(self._factory).asFuture(self._loop)
        except Exception as error:
            raise StartError(f"Cannot listen on {description}: {error}") from error

    def _adopt(self, listener: socket.socket) -> Any:
        with listener:
            port = self._reactor.adoptStreamPort(listener.fileno(), listener.family, self._factory)
            listener.listen(self._backlog)  # Twisted has set its own, 50
        if listener.family != socket.AF_UNIX:
            from realtime_gateway.server.prompt_port import PromptPort
            from realtime_gateway.server.prompt_transport import PromptTransport

            port.transport = PromptTransport
            if getattr(self._factory, "reads_at_once", False):  # the admin port's does not
                PromptPort(port, self._loop)
        else:
            # Twisted would remove the path at the end, also of a socket that others still accept from; we remove ours.
            port._bindPath = b"\0"
        return port

    def accept_waiting(self) -> None:
        """Accept what the kernel has queued; closing would reset those clients."""
        for port in self._ports:
            for _ in range(self._backlog):
                if not _readable(port):
                    break
                port.doRead()

    async def close(self) -> None:
        """Stop listening; connections stay."""
        for port in self._ports:
            stopped = port.stopListening()
            if stopped is not None:
                await stopped.asFuture(self._loop)
        self._ports.clear()
        for path in self._unix_paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self._unix_paths.clear()


def _readable(port: Any) -> bool:
    poll = select.poll()
    poll.register(port.fileno(), select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))
