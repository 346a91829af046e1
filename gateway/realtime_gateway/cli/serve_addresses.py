"""Where `serve` listens: what its command line says, else the sockets that systemd has passed, else a port."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import Any

from realtime_gateway.cli.serve_options import DEFAULT_HOST, DEFAULT_PORT
from realtime_gateway.environment import PassedSocket
from realtime_gateway.server.options import TcpAddress
from realtime_gateway.server.processes import SharedSockets

logger = logging.getLogger("realtime_gateway.server")


def endpoints(arguments: argparse.Namespace, passed: Sequence[PassedSocket] = ()) -> list[str]:
    """Return where to listen, as Twisted's descriptions; with nothing given, port 8000 of 127.0.0.1.

    Args:
        arguments: of the command line.
        passed: by systemd; where the command line says where to listen, they are left alone.
    """
    chosen = sorted(arguments.endpoints)
    host, port = arguments.host, arguments.port
    if arguments.unix_socket:
        chosen.append(f"unix:{arguments.unix_socket}")
    if arguments.file_descriptor is not None:
        chosen.append(_inherited(arguments.file_descriptor))
    if host is not None or port is not None:
        chosen.append(_tcp(host or DEFAULT_HOST, DEFAULT_PORT if port is None else port))
    if not passed:
        return chosen or [_tcp(DEFAULT_HOST, DEFAULT_PORT)]
    names = ", ".join(f"{socket.name} (fd {socket.fd})" for socket in passed)
    if not chosen:
        logger.info("Listening on what systemd has passed: %s", names)
        return [_inherited(socket.fd) for socket in passed]
    if not any(endpoint.startswith("systemd:") for endpoint in chosen):
        logger.warning("The command line says where to listen: nobody accepts from systemd's sockets %s", names)
    return chosen


def child_addresses(shared: SharedSockets) -> dict[str, Any]:
    """Return the arguments that tell a child where to listen."""
    described = [
        _tcp(address.host, address.port)
        if isinstance(address, TcpAddress)
        else str(address).replace("fd:", "fd:fileno=")
        for address in shared.addresses
    ]
    return {
        "host": None,
        "port": None,
        "unix_socket": None,
        "file_descriptor": None,
        "endpoints": described,
        "reuse_port": shared.reuse_port,
    }


def _inherited(fd: int) -> str:
    return f"fd:fileno={fd}"


def _tcp(host: str, port: int) -> str:
    """Describe a TCP port; a colon of an IPv6 address has to be escaped."""
    interface = host.strip("[]").replace(":", "\\:")
    return f"tcp:port={port}:interface={interface}"
