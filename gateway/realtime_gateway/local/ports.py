"""Ports: the public one is checked and kept, all others are found, before anything starts."""

from __future__ import annotations

import errno
import socket
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from realtime_gateway.errors import StartError
from realtime_gateway.local.plan import LOOPBACK

# Below what systems hand out to outgoing connections (Linux from 32768, macOS from 49152). A port from that range may
# be taken by a client while its server is being restarted, even by a client of that server that connects to itself.
FIRST_PORT, LAST_PORT = 20_000, 31_999


def reserve_public_port(host: str, port: int) -> socket.socket:
    """Return a socket bound to the public port; it keeps the port for this run while gateways come and go.

    On Linux it is bound and does not listen: the gateways' own sockets share its port. Elsewhere, where connections are
    not spread over several sockets, it listens and the gateways inherit it.

    Raises:
        StartError: the address is not one of this machine, or the port is taken or not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(f"{host} is not an address of this machine.", "Give another one with --host.") from error
    family, kind, protocol, _, address = found[0]
    try:
        # First alone: a socket that allows sharing would also bind where somebody else's does.
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
        kept = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refusal(host, port, error) from error
    try:
        _keep(kept, address)
    except OSError as error:
        kept.close()
        raise _refusal(host, port, error) from error
    return kept


def _keep(kept: socket.socket, address: Any) -> None:
    if not shares_ports():
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(address)
        kept.listen(1024)
        return
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        kept.bind(address)
    except OSError:
        # Connections of an earlier server that have just been closed. With this option the port is found free, but a
        # bound socket that does not listen no longer keeps others with the same option away.
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(address)


def shares_ports() -> bool:
    """Tell whether the system spreads connections over several sockets on one port."""
    return sys.platform == "linux"


def find_ports(names: Iterable[str], taken: Mapping[str, int], start_from: Path) -> dict[str, int]:
    """Return ``taken`` with a free port of 127.0.0.1 for each further name.

    Args:
        names: who needs a port.
        taken: ports of this run that are in use or kept.
        start_from: the run's directory; the same one leads to the same ports if they are free.
    """
    ports = {name: port for name, port in taken.items() if name in set(names)}
    used = set(taken.values())
    size = LAST_PORT - FIRST_PORT + 1
    # The greater part of the digest only, so that directories whose digests are near do not meet.
    candidates = (
        FIRST_PORT + (zlib.crc32(str(start_from).encode()) // 100 * 100 + step) % size for step in range(size)
    )
    for name in names:
        if name in ports:
            continue
        port = next((port for port in candidates if port not in used and _is_free(port)), None)
        if port is None:
            raise StartError(f"No port between {FIRST_PORT} and {LAST_PORT} of {LOOPBACK} is free.")
        ports[name] = port
        used.add(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()  # two sockets may be bound to one port as long as neither listens
        except OSError:
            return False
        return True


def _refusal(host: str, port: int, error: OSError) -> StartError:
    if error.errno == errno.EADDRINUSE:
        free = port + 1 if port < 65_535 else 8001
        return StartError(
            f"Port {port} of {host} is in use by another program.",
            f"End that program, or choose another port: --port {free} (make up PORT={free}).",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return StartError(f"This user may not listen on port {port}.", "Choose one from 1024: --port 8000.")
    return StartError(f"Cannot listen on {host}, port {port}: {error.strerror}.", "Choose others: --host, --port.")
