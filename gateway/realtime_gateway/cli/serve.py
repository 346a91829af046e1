"""`realtime-gateway serve APPLICATION`: from the command line, the environment and the resource to a running server."""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import MethodType
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from realtime_gateway.cli.main import exit_code
from realtime_gateway.cli.serve_addresses import child_addresses, endpoints
from realtime_gateway.cli.serve_options import LIMITS, LOG_LEVELS, add_arguments
from realtime_gateway.environment import Environment, passed_sockets, read_environment
from realtime_gateway.errors import ConfigurationError, GatewayError, StartError
from realtime_gateway.resource import GatewaySpec, load_resource
from realtime_gateway.resource.ending_times import THREADS_SECONDS
from realtime_gateway.resource.spec import RealtimeGateway, WebSocket
from realtime_gateway.server.last_resort import flush_stdout
from realtime_gateway.server.options import ServerOptions, TcpAddress, parse_address
from realtime_gateway.server.processes import ParentLine, Processes, share
from realtime_gateway.server.reactor import install_reactor
from realtime_gateway.telemetry import logs
from realtime_gateway.tracing import start_tracing

logger = logging.getLogger("realtime_gateway.server")

# Daphne's own, in seconds, for what a resource does not say.
DAPHNE_DEFAULTS = {"websocket_timeout": 86400, "websocket_connect_timeout": 5, "application_close_timeout": 10}


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    handler = _log_to_stderr(arguments)
    if arguments.processes > 1:
        return _run_parent(arguments, handler)
    _exit_when_told_to_stop()
    passed = passed_sockets()  # before Twisted is imported, which takes them out of the environment
    install_reactor(arguments.loop)
    from realtime_gateway.server.access_log import access_log
    from realtime_gateway.server.gateway_server import GatewayServer

    environment = read_environment()
    resource = own_resource(environment)
    spec = None if resource is None else resource.spec
    _follow_resource(handler, arguments, spec)
    application = load_application(arguments.application)
    _make_channel_layers()
    application = _made_cheaper(application)
    end_tracing = start_tracing(environment, resource)

    form = arguments.access_log_format or ("text" if spec is None else spec.telemetry.access_log)
    with access_log(arguments.access_log, form, by_default=arguments.verbosity >= 1) as action_logger:
        server = GatewayServer(
            application,
            endpoints=endpoints(arguments, passed),
            options=server_options(arguments, spec),
            process_name=environment.process_name,
            action_logger=action_logger,
            **daphne_arguments(arguments, spec),
        )
        parent = None
        if arguments.parent_fd is not None:
            parent = ParentLine(arguments.parent_fd, server.loop, server.drain)
        server.last_act = close_layers
        server.ready_callable = lambda: _say_ready(arguments.application, server.listening_addresses, parent)
        code = 1
        try:
            server.run()
            code = 0
        finally:
            _leave_in_the_end(code)
            end_tracing()
    return code


def _log_to_stderr(arguments: argparse.Namespace) -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(logs.formatter(arguments.log_format or logs.TEXT, arguments.log_fmt))
    handler.addFilter(logs.NoFlood())
    logging.basicConfig(level=LOG_LEVELS[arguments.verbosity], handlers=[handler])
    return handler


def _follow_resource(handler: logging.Handler, arguments: argparse.Namespace, spec: GatewaySpec | None) -> None:
    """Write the log in the form that the resource wants, where the command line wants none."""
    if arguments.log_format is None and spec is not None:
        handler.setFormatter(logs.formatter(spec.telemetry.log, arguments.log_fmt))


def _run_parent(arguments: argparse.Namespace, handler: logging.Handler) -> int:
    """Run this command line in several processes."""
    resource = own_resource(read_environment())
    spec = None if resource is None else resource.spec
    _follow_resource(handler, arguments, spec)
    options = server_options(arguments, spec)
    addresses = [parse_address(description) for description in endpoints(arguments, passed_sockets())]
    shared = share(addresses, options.listen_backlog, reuse_port=arguments.reuse_port)
    known = vars(own_arguments(arguments.application))  # `realtime-gateway` itself has added others

    def command(index: int, parent_fd: int) -> tuple[list[str], dict[str, str]]:
        given = {
            **{name: value for name, value in vars(arguments).items() if name in known},
            **child_addresses(shared),
            "processes": 1,
            "parent_fd": parent_fd,
            "admin_port": options.admin_port + index if options.admin_port else 0,
        }
        environment = dict(os.environ)
        if environment.get("REALTIME_GATEWAY_PROCESS"):
            environment["REALTIME_GATEWAY_PROCESS"] += f"-{index + 1}"
        return [sys.executable, "-m", "realtime_gateway.cli.serve", json.dumps(given)], environment

    def ready() -> None:
        where = ", ".join(f"http://{address}" for address in shared.addresses if isinstance(address, TcpAddress))
        logger.info(
            "Serving %s on %s in %d processes", arguments.application, where or "its socket", arguments.processes
        )

    async def keep_running() -> int:
        return await Processes(arguments.processes, command, shared.fds).run(ready)

    try:
        return asyncio.run(keep_running())
    finally:
        shared.close()


def _run_child(given: str) -> int:
    """Run as one of several processes: the arguments come from the parent, as JSON."""
    return run(argparse.Namespace(**json.loads(given)))


def own_arguments(*words: str) -> argparse.Namespace:
    """Read a command line of `serve` alone."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


async def close_layers() -> None:
    """End the connections of channel layers in order, so that what was sent last is on a replica."""
    channels_layers = sys.modules.get("channels.layers")
    for layer in list(channels_layers.channel_layers.backends.values()) if channels_layers else ():
        if isinstance(close := getattr(layer, "close", None), MethodType):
            await close()


def _made_cheaper(application: Any) -> Any:
    """Do for a project that does not list us in INSTALLED_APPS what our AppConfig does; nothing without Channels.

    Return the application as it is served.
    """
    if "channels.consumer" not in sys.modules:
        return application
    from realtime_gateway.consumers import database_hop, dispatching, session_looks, stack_walk

    database_hop.apply_as_set()
    dispatching.apply_as_set()
    session_looks.apply_as_set()
    return stack_walk.walked_as_set(application)


def load_application(path: str) -> Any:
    """Import ``module:attribute``, with the current directory on the path.

    Raises:
        StartError: it cannot be imported; the traceback has been shown.
    """
    from asgiref.compatibility import guarantee_single_callable

    module_name, _, attributes = path.partition(":")
    if not module_name or not attributes:
        raise ConfigurationError(
            f"{path!r} is not an application.", "Write it as module:name, like chat.asgi:application."
        )
    sys.path.insert(0, ".")
    try:
        target: Any = importlib.import_module(module_name)
    except Exception as error:
        traceback.print_exc()
        raise StartError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    for name in attributes.split("."):
        if not hasattr(target, name):
            raise StartError(f"{path} cannot be imported: {module_name} has no {name!r}.")
        target = getattr(target, name)
    if not callable(target):
        raise StartError(f"{path} is no ASGI application: it is {target!r:.60}.", "Name what is one.")
    as_one_callable: Callable[[Any], Any] = guarantee_single_callable  # asgiref gives it no types
    return as_one_callable(target)


def _make_channel_layers() -> None:
    """Make them before clients come: the first handshake would wait for their modules, for seconds on a busy node.

    Raises:
        ConfigurationError: one of ours cannot be made. A process that served all the same would be ready, and refuse
            whoever comes.
    """
    from channels.layers import channel_layers

    try:
        aliases = tuple(channel_layers.configs)
    except (ImproperlyConfigured, ImportError):  # an application that never asks for Django's settings needs none
        return
    for alias in aliases:
        try:
            channel_layers[alias]
        except GatewayError:
            raise
        except Exception:
            logger.exception("The channel layer %r cannot be made: whoever uses it will fail", alias)


def own_resource(environment: Environment) -> RealtimeGateway | None:
    """Return the resource that this process belongs to, or None."""
    return None if environment.resource_file is None else load_resource(environment.resource_file)


def server_options(arguments: argparse.Namespace, spec: GatewaySpec | None) -> ServerOptions:
    """Put together what is ours: the command line over the resource over the defaults."""
    options = ServerOptions()
    if spec is not None:
        options = options.with_overrides(
            drain_accept_seconds=spec.drain.accept_seconds,
            drain_period_seconds=spec.drain.period_seconds,
            drain_jitter=spec.drain.jitter,
            **_limits_of(spec),
        )
    return options.with_overrides(
        reuse_port=arguments.reuse_port,
        admin_port=arguments.admin_port,
        admin_bind=arguments.admin_bind,
        drain_accept_seconds=arguments.drain_accept_seconds,
        drain_period_seconds=arguments.drain_seconds,
        compression=arguments.compression,
        trusted_proxies=tuple(arguments.trusted_proxies) or None,
        **{name: getattr(arguments, name) for name in LIMITS},
    )


def _limits_of(spec: GatewaySpec) -> dict[str, Any]:
    """Return what a resource says of limits, by the names of ServerOptions."""
    websocket, http = spec.websocket, spec.http
    return {
        "max_connections": websocket.max_connections,
        "max_connections_per_address": websocket.max_connections_per_ip,
        "handshakes_per_second": websocket.handshake_rate_per_second,
        "max_age_seconds": websocket.max_age_seconds,
        "send_queue_bytes": websocket.send_queue_size_bytes,
        "send_queue_seconds": websocket.send_queue_seconds,
        "head_timeout_seconds": http.head_timeout_seconds,
        "send_timeout_seconds": http.send_timeout_seconds,
        "max_head_bytes": http.max_head_size_bytes,
        "max_body_bytes": http.max_body_size_bytes,
        "compression": websocket.compression,
        "compression_window_bits": websocket.compression_window_bits,
        "compression_context_bytes": websocket.compression_context_size_bytes,
        "compression_least_bytes": websocket.compression_min_size_bytes,
        "trusted_proxies": spec.security.trusted_proxies,
        "blocked_loop_seconds": spec.telemetry.blocked_loop_seconds,
    }


def daphne_arguments(arguments: argparse.Namespace, spec: GatewaySpec | None) -> dict[str, Any]:
    """Put together the arguments of Daphne's constructor: the command line over the resource over the defaults."""
    websocket = WebSocket() if spec is None else spec.websocket
    limits = {
        **DAPHNE_DEFAULTS,
        "ping_interval": websocket.ping_interval_seconds,
        "ping_timeout": websocket.ping_timeout_seconds,
        "websocket_max_message_size": websocket.max_message_size_bytes,
        "websocket_max_frame_size": websocket.max_message_size_bytes,
    }
    given = {name: getattr(arguments, name) for name in limits}
    chosen: dict[str, Any] = {**limits, **{name: value for name, value in given.items() if value is not None}}
    if (arguments.proxy_headers_host or arguments.proxy_headers_port) and not arguments.proxy_headers:
        raise ConfigurationError("--proxy-headers-host and --proxy-headers-port need --proxy-headers.", "Add it.")
    if arguments.proxy_headers:
        chosen["proxy_forwarded_address_header"] = arguments.proxy_headers_host or "X-Forwarded-For"
        chosen["proxy_forwarded_port_header"] = arguments.proxy_headers_port or "X-Forwarded-Port"
        chosen["proxy_forwarded_proto_header"] = "X-Forwarded-Proto"
    return {
        **chosen,
        "http_timeout": arguments.http_timeout,
        "root_path": arguments.root_path,
        "server_name": arguments.server_name,
        "verbosity": arguments.verbosity,
    }


def _exit_when_told_to_stop() -> None:
    """Until the server runs and has its own way, leave at once and in silence: nobody is connected yet."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)


def _leave_in_the_end(code: int) -> None:
    """Exit although threads of the application are still busy; Python would wait for them without end."""

    def leave() -> None:
        logger.warning("Threads of the application are still busy %g s after the end; leaving", THREADS_SECONDS)
        logging.shutdown()
        flush_stdout()
        os._exit(code)

    watchdog = threading.Timer(THREADS_SECONDS, leave)
    watchdog.daemon = True
    watchdog.start()


def _settle_memory() -> None:
    """Take what start-up has made out of the garbage collector's sight, and let it look less often.

    A gateway holds many objects that live as long as their connections; looking at all of them again and again costs
    more than it finds. It looks at 5,000 new ones at a time and then once more at 100,000: with four times as many each
    look cost as much for each of them, and the second stopped everything for 0.2 s, once in 7,000 handshakes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 200)


def _say_ready(application: str, addresses: list[tuple[str, int]], parent: ParentLine | None) -> None:
    _settle_memory()
    if parent is not None:
        parent.say_ready()
        return
    where = ", ".join(f"http://{TcpAddress(host, port)}" for host, port in addresses) or "its socket"
    logger.info("Serving %s on %s", application, where)


if __name__ == "__main__":
    sys.exit(exit_code("serve", lambda: _run_child(sys.argv[1])))
