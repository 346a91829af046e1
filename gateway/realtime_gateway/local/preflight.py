"""What is found, checked and taken before anything starts, so that trouble is one message and nothing to undo."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.util import find_spec

from realtime_gateway.environment import read_environment
from realtime_gateway.errors import ConfigurationError, StartError
from realtime_gateway.local.options import UpOptions
from realtime_gateway.local.plan import LOOPBACK, Place
from realtime_gateway.local.ports import find_ports, reserve_public_port, shares_ports
from realtime_gateway.local.redis_plan import names_with_a_port
from realtime_gateway.local.redis_program import find_redis_server
from realtime_gateway.local.redis_questions import ping_refusal, primary_of
from realtime_gateway.local.secrets_written import with_password
from realtime_gateway.local.state_directory import StateDirectory
from realtime_gateway.resource import RealtimeGateway
from realtime_gateway.resource.secret_files import redis_password
from realtime_gateway.resource.spec import ExternalHost


@dataclass(frozen=True)
class Taken:
    """What this run holds: give it back with ``release``."""

    place: Place
    ports: dict[str, int]
    directory: StateDirectory
    public_socket: socket.socket

    def release(self) -> None:
        """Remove the directory and free the public port."""
        self.public_socket.close()
        self.directory.remove()


async def take(resource: RealtimeGateway, options: UpOptions, secrets_given: Mapping[str, bytes]) -> Taken:
    """Check what the resource needs, and take port and directory.

    Args:
        resource: what is to run.
        options: of the command line.
        secrets_given: the contents of its files with secrets.

    Raises:
        ConfigurationError: the resource cannot run here as it is.
        StartError: a program, a port, a directory or an external Redis is missing.
    """
    check_project(resource, options)
    spec = resource.spec
    needs_redis = spec.redis.external is None or spec.cache.enabled
    redis_server = find_redis_server() if needs_redis else None
    for host in spec.redis.external.hosts if spec.redis.external else ():
        await check_external(host, secrets_given.get(redis_password(host.name)))
    public = reserve_public_port(options.host, options.port)
    try:
        directory = StateDirectory.take(options.state_directory(resource.name))
        try:
            ports = find_ports(names_with_a_port(resource), {}, directory.path)
        except StartError:
            directory.remove()
            raise
    except StartError:
        public.close()
        raise
    place = Place(
        directory=directory.path,
        project=options.project_directory,
        host=options.host,
        port=options.port,
        python=sys.executable,
        redis_server=redis_server,
        listening_fd=None if shares_ports() else public.fileno(),
        resource_suffix=options.file.suffix,
        identity=secrets.token_hex(8),
    )
    return Taken(place, ports, directory, public)


def check_project(resource: RealtimeGateway, options: UpOptions) -> None:
    """Refuse what is known to fail before it is tried."""
    if not options.project_directory.is_dir():
        raise ConfigurationError(f"{options.project_directory} is not a directory.", "Name another one with --chdir.")
    needs_settings = any(worker.replicas for worker in resource.spec.workers)
    if needs_settings and not resource.spec.settings_module and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise ConfigurationError(
            f"{options.file}: spec.workers needs Django's settings, and spec.settingsModule is not set.",
            "Set it to the project's settings, such as chat.settings.",
        )
    _check_module("application", resource.spec.application, options)
    if resource.spec.settings_module:
        _check_module("settingsModule", resource.spec.settings_module, options)


def _check_module(field: str, name: str, options: UpOptions) -> None:
    """Refuse what no process could import, as where the file was copied without its project."""
    package = name.partition(":")[0].partition(".")[0]
    known = package in sys.builtin_module_names or PathFinder.find_spec(package, [str(options.project_directory)])
    if not known:
        with suppress(ValueError):  # of a module of this process that says nothing of where it comes from
            known = find_spec(package)
    if not known:
        raise ConfigurationError(
            f"{options.file}: spec.{field} is {name}, and there is no {package} in {options.project_directory}.",
            "Name the directory of the project with --chdir.",
        )


async def check_external(host: ExternalHost, password: bytes | None = None) -> None:
    """Raise a StartError unless an external shard answers.

    Raises:
        ConfigurationError: it cannot be asked from here.
    """
    if host.url is None and read_environment().redis_tls_directory is not None:
        raise ConfigurationError(
            f"The external Redis of shard {host.name} is spoken to by TLS (REALTIME_GATEWAY_REDIS_TLS_DIRECTORY), and "
            "`up` asks shards by their URLs.",
            "Name it by url, such as rediss://HOST:PORT/0?ssl_ca_certs=FILE, in spec.redis.external.hosts.",
        )
    url = await external_url(host, password)
    refusal = "none of its Sentinels knows it" if url is None else await ping_refusal(url)
    if refusal is None:
        return
    if "NOAUTH" in refusal or "Authentication required" in refusal:
        raise StartError(
            f"The external Redis of shard {host.name} wants a password (NOAUTH).",
            "Name it by the shard's passwordSecretRef, and put the Secret into the same file.",
        )
    raise StartError(
        f"The external Redis of shard {host.name} does not answer: {refusal.rstrip('.')}.",
        "Start it, or correct spec.redis.external.hosts.",
    )


async def external_url(host: ExternalHost, password: bytes | None = None) -> str | None:
    """Return where an external shard's primary is now, with its password; None when no Sentinel of it knows."""
    if host.url is not None:
        return with_password(host.url, password)
    user = f"{host.username}@" if host.username else ""
    if not host.sentinels:
        return with_password(f"redis://{user}{_bracketed(host.host or LOOPBACK)}:{host.port}/{host.db}", password)
    for sentinel in host.sentinels:
        # As the layer does: the default user is let in with any password where there is none.
        asked = with_password(f"redis://{_bracketed(sentinel.host)}:{sentinel.port}", password, "default")
        found = await primary_of(asked, host.master_name or "")
        if found is not None:
            address, port = found
            return with_password(f"redis://{user}{_bracketed(address)}:{port}/{host.db}", password)
    return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
