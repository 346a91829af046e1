"""The command line of `serve`: Daphne's options, and ours, each checked as it is read."""

from __future__ import annotations

import argparse
import logging
import math
from typing import Any

from realtime_gateway.server.reactor import LOOPS
from realtime_gateway.telemetry import logs

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000
ACCESS_LOG_FORMATS = ("text", "json")
LOG_LEVELS = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}


# Our limits, by the names of ServerOptions: the reader of the word, and what the option does.
LIMITS: dict[str, tuple[str, str]] = {
    "max_connections": ("whole", "WebSockets of this process; more get 503; 0 has no limit (default)"),
    "max_connections_per_address": ("whole", "WebSockets of one client address; more get 429; 0 has no limit"),
    "handshakes_per_second": ("whole", "more get 503; 0 has no limit (default)"),
    "max_age_seconds": ("seconds", "a WebSocket is closed with 1012 at this age, or a little before; 0 never"),
    "send_queue_bytes": ("whole", "what may wait for a slow client (default 1 MiB), and"),
    "send_queue_seconds": ("seconds", "for how long, before it is closed with 1013 (default 10)"),
    "head_timeout_seconds": ("seconds", "for the head of a request; later is 408; 0 is for ever (default 10)"),
    "send_timeout_seconds": (
        "seconds",
        "for which a client may take nothing of a response; 0 is for ever (default 60)",
    ),
    "max_head_bytes": ("whole", "of a request's line and headers; more get 431 (default 16 KiB)"),
    "max_body_bytes": ("whole", "of a request; more get 413; 0 has no limit (default)"),
    "compression_window_bits": ("whole", "the largest window of either side, 9 to 15 (default 12)"),
    "compression_context_bytes": ("whole", "for contexts kept between messages; 0 keeps none (default)"),
    "compression_least_bytes": ("whole", "shorter messages are sent as they are (default 256)"),
    "blocked_loop_seconds": ("seconds", "for which the event loop may stand still unreported; 0 never (default 1)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line. An option that is not given is None, so that a resource's value can stand."""
    parser.add_argument("application", help="the ASGI application, as path.to.module:instance.path")
    _add_listening(parser.add_argument_group("where it listens"))
    _add_daphne(parser.add_argument_group("time-outs, limits and headers, as in Daphne"))
    _add_limits(parser.add_argument_group("limits beside Daphne's"))
    _add_running(parser.add_argument_group("how it runs"))


def _add_listening(group: Any) -> None:
    group.add_argument("-b", "--bind", dest="host", help=f"address to bind to (default {DEFAULT_HOST})")
    group.add_argument("-p", "--port", type=_port, help=f"TCP port (default {DEFAULT_PORT}); 0 takes a free one")
    group.add_argument("-u", "--unix-socket", help="path of a Unix socket, instead of a port")
    group.add_argument(
        "--fd", type=_whole_from_zero, dest="file_descriptor", help="an inherited socket, instead of a port"
    )
    group.add_argument("-e", "--endpoint", dest="endpoints", action="append", default=[], help="a Twisted endpoint")
    group.add_argument("--reuse-port", action="store_true", help="share the port with other processes (SO_REUSEPORT)")
    group.add_argument("--admin-port", type=_port, help="port of /healthz, /readyz and /metrics; 0 is off (default)")
    group.add_argument("--admin-bind", help="address of the admin port (default 127.0.0.1)")


def _add_daphne(group: Any) -> None:
    group.add_argument(
        "-t", "--http-timeout", type=_whole_from_zero, help="seconds for an HTTP response; none by default"
    )
    group.add_argument(
        "--ping-interval", type=_whole_from_zero, help="seconds between keep-alive pings; 0 is off (default 20)"
    )
    group.add_argument(
        "--ping-timeout", type=_whole_from_zero, help="seconds to wait for a pong; 0 is for ever (default 30)"
    )
    group.add_argument(
        "--websocket-timeout",
        "--websocket_timeout",
        type=_whole_or_endless,
        help="longest life in seconds; -1 has no end (default 86400)",
    )
    group.add_argument(
        "--websocket-connect-timeout",
        "--websocket_connect_timeout",
        type=_whole_or_endless,
        help="seconds for the application to accept; -1 has no end (default 5)",
    )
    group.add_argument(
        "--websocket-max-message-size", type=_whole_from_zero, help="bytes; 0 has no limit (default 1 MiB)"
    )
    group.add_argument(
        "--websocket-max-frame-size", type=_whole_from_zero, help="bytes; 0 has no limit (default 1 MiB)"
    )
    group.add_argument(
        "--application-close-timeout", type=_whole_from_zero, help="seconds after the client has left (default 10)"
    )
    group.add_argument("--root-path", default="", help="the scope's root_path")
    group.add_argument("--proxy-headers", action="store_true", help="believe X-Forwarded-For, -Port and -Proto")
    group.add_argument("--proxy-headers-host", help="the header to believe instead of X-Forwarded-For")
    group.add_argument("--proxy-headers-port", help="the header to believe instead of X-Forwarded-Port")
    group.add_argument(
        "--trusted-proxy",
        dest="trusted_proxies",
        action="append",
        default=[],
        metavar="NETWORK",
        help="believe X-Forwarded-For, X-Forwarded-Proto and the PROXY protocol from here only; may repeat",
    )
    group.add_argument("-s", "--server-name", default="daphne", help="the Server header (default daphne)")
    group.add_argument("--no-server-name", dest="server_name", action="store_const", const="", help="no Server header")


def _add_limits(group: Any) -> None:
    group.add_argument(
        "--compression", action="store_true", default=None, help="permessage-deflate with clients that offer it"
    )
    readers = {"whole": _whole_from_zero, "seconds": _seconds}
    for name, (reader, help) in LIMITS.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=readers[reader], help=help)


def _add_running(group: Any) -> None:
    group.add_argument("--processes", type=_processes, default=1, help="how many processes share the port (default 1)")
    group.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
    group.add_argument(
        "--drain-accept-seconds", type=_seconds, help="seconds in which it still accepts once told to stop (default 0)"
    )
    group.add_argument(
        "--drain-seconds", type=_seconds, help="seconds that closing WebSockets is spread over (default 30)"
    )
    group.add_argument("--loop", choices=LOOPS, default="auto", help="the event loop (default uvloop, if installed)")
    group.add_argument("-v", "--verbosity", type=int, choices=LOG_LEVELS, default=1, help="0 to 3 (default 1)")
    group.add_argument("--access-log", help="file to append the access log to; - is stdout (default at verbosity 1)")
    group.add_argument(
        "--access-log-format", choices=ACCESS_LOG_FORMATS, help="how its lines look (default the resource's, or text)"
    )
    group.add_argument(
        "--log-format", choices=logs.FORMATS, help="how the lines of the log look (default the resource's, or text)"
    )
    group.add_argument("--log-fmt", default=logs.DEFAULT_FORMAT, help="format of the log's text")


def _port(word: str) -> int:
    port = _whole(word)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"there is no port {port}; a port is a number from 0 to 65535")
    return port


def _whole_from_zero(word: str) -> int:
    number = _whole(word)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative; give 0 or more")
    return number


def _whole_or_endless(word: str) -> int:
    number = _whole(word)
    if number < -1:
        raise argparse.ArgumentTypeError(f"{number} is negative; give 0 or more, or -1 for no end")
    return number


def _processes(word: str) -> int:
    number = _whole(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is no number of processes; give 1 or more")
    return number


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise argparse.ArgumentTypeError(f"{word!r} is no number of seconds")
    if seconds < 0:
        raise argparse.ArgumentTypeError(f"{word} is negative; give 0 or more")
    return seconds


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number") from None
