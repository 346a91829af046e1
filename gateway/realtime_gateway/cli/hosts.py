"""`realtime-gateway hosts show|diff|set`: the list of Redis shards, as the shards themselves hold it.

Exit codes: 0 in order, the same, or done; 1 trouble, in words; 2 a misuse of the command line; 3 not in order, not the
same, or not finished within the time given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from realtime_gateway.cli import hosts_view
from realtime_gateway.cli.hosts_set import Change, bring_about, refuse_managed
from realtime_gateway.environment import Environment, read_environment
from realtime_gateway.errors import ConfigurationError, HostListInvalid, ShardUnavailable
from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.layer.encryption_keys import keys_of
from realtime_gateway.layer.host_survey import Deployment, Survey, survey
from realtime_gateway.layer.names import Names
from realtime_gateway.layer.options import LayerOptions, plain_hosts
from realtime_gateway.layer.sources import choose_hosts, choose_options

NOT_YET = 3
SET_SECONDS = 300.0


@dataclass(frozen=True)
class Found:
    """The deployment that the command line names, and what its shards hold.

    Attributes:
        file: the host-list file that it was found by, or None.
        present: the list in use: the newest of the file's and the shards', or the plain list.
        seen: what every shard of it, and of its earlier lists, answered.
    """

    options: LayerOptions
    deployment: Deployment
    file: Path | None
    present: HostList
    seen: Survey


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="what each shard holds, and which process uses which list")
    show.add_argument("--json", action="store_true", help="print JSON")
    diff = actions.add_parser("diff", help="what another list would change; exit code 3 when anything")
    change = actions.add_parser("set", help="make another list the one in use, while everything runs")
    for one in (diff, change):
        one.add_argument("target", metavar="LIST", help="a file with a host list, or Redis URLs separated by commas")
    change.add_argument(
        "--timeout", type=_seconds, default=SET_SECONDS, metavar="SECONDS",
        help=f"how long to wait for processes before giving up for now (default {SET_SECONDS:g})",
    )  # fmt: skip
    for one in (show, diff, change):
        where = one.add_mutually_exclusive_group()
        where.add_argument(
            "--config", type=Path, metavar="FILE", help="the host list (default: REALTIME_GATEWAY_CONFIG)"
        )
        where.add_argument("--hosts", metavar="URL,URL", help="shards of the deployment (default: REDIS_URL)")
        one.add_argument("--prefix", help="of the channel layer's keys (default: that of the resource, else asgi)")
        one.add_argument("--keys-file", type=Path, metavar="FILE", help="the layer's encryption keys, one a line")


def run(arguments: argparse.Namespace) -> int:
    """Carry out one action; raises GatewayError."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    found = await find(arguments)
    if arguments.action == "show":
        return _show(found, as_json=arguments.json)
    target = read_target(arguments.target, found.present, found.deployment.environment)
    if arguments.action == "set":
        refuse_managed(found.present)
    changes = hosts_view.differences(found.present.shards, target)
    if arguments.action == "diff":
        print("\n".join([*changes, hosts_view.moving(found.present.shards, target)] if changes else ["no difference"]))
        return NOT_YET if changes else 0
    if changes:
        print("\n".join([*changes, hosts_view.moving(found.present.shards, target)]))
    change = Change(target, found.options.expiry, arguments.timeout, found.file)
    return 0 if await bring_about(change, found.present, found.deployment, print) else NOT_YET


def _show(found: Found, *, as_json: bool) -> int:
    view = hosts_view.View(found.present, found.seen)
    print(json.dumps(hosts_view.as_json(view), indent=2) if as_json else "\n".join(hosts_view.lines(view)))
    return NOT_YET if view.problems else 0


async def find(arguments: argparse.Namespace) -> Found:
    """Find the deployment and ask its shards.

    Raises:
        ConfigurationError: the list, the resource or the keys cannot be read.
        ShardUnavailable: no shard answers.
    """
    environment = _environment(arguments)
    given = {} if arguments.prefix is None else {"prefix": arguments.prefix}
    options = choose_options(given, environment)
    documents = Documents(_keys(arguments.keys_file, options.encryption_keys_file), options.prefix)
    deployment = Deployment(Names(options.prefix), documents, environment)
    start = choose_hosts(options, environment)
    present, seen = await look_everywhere(start, deployment)
    if not seen.boards:
        named = environment.hosts_file or environment.redis_urls or options.hosts
        remedy = "" if named else "Nothing here names a deployment: give --hosts or --config, or set REDIS_URL."
        raise ShardUnavailable(start.shards[0].name, "\n".join(seen.troubles.values()), remedy)
    return Found(options, deployment, environment.hosts_file, present, seen)


async def look_everywhere(start: HostList, deployment: Deployment) -> tuple[HostList, Survey]:
    """Ask the shards of a list, and those of every newer list that is found on them; return the newest of all."""
    present = start
    while True:
        seen = await survey(present.every_shard, deployment)
        newest = seen.newest
        if newest is None or newest.epoch <= present.epoch:
            return present, seen
        present = newest


def read_target(words: str, present: HostList, environment: Environment) -> tuple[Shard, ...]:
    """Return the shards of a list that is given as a file or as URLs.

    URLs carry no names. One that is in the present list keeps the name it has there, so that nothing of it moves; every
    other one gets the lowest number that is free.

    Raises:
        HostListInvalid: it is neither.
    """
    if "://" in words:
        urls = [url.strip() for url in words.split(",") if url.strip()]
        return _named(plain_hosts(urls, environment).shards, present)
    path = Path(words)
    try:
        hosts = HostList.from_json(path.read_bytes(), words)
    except OSError as error:
        raise HostListInvalid(f"{words} cannot be read: {error.strerror}.", "Name a file, or redis:// URLs.") from error
    return hosts.shards


def _named(shards: Sequence[Shard], present: HostList) -> tuple[Shard, ...]:
    known = [(dict(shard.connection), shard) for shard in present.every_shard]
    kept = [next((old for form, old in known if form == dict(shard.connection)), None) for shard in shards]
    taken = {shard.name for shard in present.every_shard}
    free = (str(number) for number in range(len(taken) + len(shards)) if str(number) not in taken)
    return tuple(old or replace(shard, name=next(free)) for shard, old in zip(shards, kept, strict=True))


def _environment(arguments: argparse.Namespace) -> Environment:
    environment = read_environment()
    if arguments.config is not None:
        return replace(environment, hosts_file=arguments.config)
    if arguments.hosts is not None:
        urls = tuple(url.strip() for url in arguments.hosts.split(",") if url.strip())
        return replace(environment, hosts_file=None, redis_urls=urls)
    return environment


def _keys(path: Path | None, of_the_layer: str | Path | None) -> tuple[str, ...]:
    """Return the keys of a file that is named here, which may hold any keys of CONFIG, or of the layer's own."""
    if path is None:
        return () if of_the_layer is None else keys_of(Path(of_the_layer))
    try:
        keys = tuple(key for line in path.read_text().splitlines() if (key := line.strip()))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The keys' file {path} cannot be read: {error}.") from error
    if not keys:
        raise ConfigurationError(f"The keys' file {path} is empty.", "Write a key on each line, the present one first.")
    return keys


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of seconds")
    return seconds
