"""Start the operator: ``python -m realtime_operator``."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import kopf

from realtime_gateway.errors import GatewayError
from realtime_operator import metrics_port, sight
from realtime_operator.console.serving import serving as console_serving
from realtime_operator.exporting import exporting
from realtime_operator.following import Following
from realtime_operator.handlers import register, settings_for
from realtime_operator.kube.client import OPTIONAL, OWNED, KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.leadership import Leadership
from realtime_operator.observe.object_cache import ObjectCache
from realtime_operator.options import Options, read_options
from realtime_operator.relisting import relist_for_ever
from realtime_operator.target import FIELD_MANAGER, KIND

CRD_POLL_SECONDS = 5.0
# Without the right to see, the rights are asked for again after 10, 20, 40 … s, up to this.
LONGEST_BLIND_SECONDS = 60.0
# How often it is asked whether an optional kind has come.
OPTIONAL_POLL_SECONDS = 120.0
# What a cluster serves follows the deletion of a definition within seconds.
SETTLING_SECONDS = 10.0
log = logging.getLogger("realtime_operator")


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # One line per event of every object is nobody's reading.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    try:
        options = read_options()
        with exporting(options):
            asyncio.run(run(options))
    except GatewayError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def run(options: Options) -> None:
    """Serve until a signal asks to end."""
    stop = asyncio.Event()
    async with metrics_port.serving(options.metrics_port):
        client = await KubeClient.connect()
        try:
            # Once, and anew each time that the cluster begins or ceases to serve a kind. To end the process for that
            # would make it wait for minutes where it was started again a few times before.
            while kinds := await _wait_for_kinds(options, client, stop):
                await _serve(options, client, kinds, stop)
                if stop.is_set():
                    break
        finally:
            await client.close()


def _end_at_a_signal(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _serve(options: Options, client: KubeClient, kinds: Sequence[str], stop: asyncio.Event) -> None:
    """Watch kinds and do what is to be done, until a signal comes or the cluster serves other kinds."""
    cache = ObjectCache()
    leadership = Leadership(client, options.namespace, FIELD_MANAGER, options.identity, time.monotonic)
    following = Following(options, client, cache, leadership, time.monotonic, Random())
    registry, settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
    listed = asyncio.Event()
    register(registry, kinds, cache, following, listed)
    settings_for(settings, kinds)
    kopf.on.login(registry=registry)(_login)
    # Kopf would make a name from the user's, which a numeric user has not; its type for names is not public.
    name: Any = options.identity
    watching = kopf.operator(
        identity=name,
        registry=registry,
        settings=settings,
        standalone=True,
        clusterwide=not options.watched,
        namespaces=options.watched,
        stop_flag=stop,
    )
    watch = asyncio.create_task(watching, name="watch")
    tasks = [
        watch,
        asyncio.create_task(leadership.run(), name="lead"),
        asyncio.create_task(
            relist_for_ever(client, kinds, options.watched, cache, following, listed), name="list again"
        ),
    ]
    if missing := [kind for kind in OPTIONAL if kind not in kinds]:
        tasks.append(asyncio.create_task(_until_served(client, missing), name="wait for kinds"))
    log.info("%s serves %s.", options.identity, ", ".join(options.watched) or "all namespaces")
    asked_to_end = asyncio.create_task(stop.wait())
    async with console_serving(options, client, cache, time.monotonic):
        await asyncio.wait([*tasks, asked_to_end], return_when=asyncio.FIRST_COMPLETED)
    failed = [task for task in tasks if task.done() and not task.cancelled() and task.exception() is not None]
    if watch.done() and not failed:
        stop.set()  # kopf puts its own handlers in the place of ours, and ends at a signal
    await following.close()
    await _end([*tasks, asked_to_end])
    # To watch what is not served any more, or what may not be seen, fails.
    if failed and not stop.is_set() and not await _other_kinds(options, client, kinds, stop):
        raise RuntimeError(f"The operator's task {failed[0].get_name()!r} failed") from failed[0].exception()


async def _end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task


async def _other_kinds(options: Options, client: KubeClient, kinds: Sequence[str], stop: asyncio.Event) -> bool:
    """Whether the cluster serves other kinds now than those that were watched, or soon, or does not show them all."""
    with suppress(TimeoutError, KubeError):
        async with asyncio.timeout(SETTLING_SECONDS):
            while not stop.is_set():
                served = await _kinds(client)
                if served != kinds:
                    log.info("The cluster does not serve the same kinds any more: watching what it serves now.")
                    return True
                if await sight.lacking(client, kinds, options.watched):
                    return True
                await asyncio.sleep(1)
    return False


async def _kinds(client: KubeClient) -> tuple[str, ...]:
    """What is to be watched of what the cluster serves; empty without our own kind."""
    if not await client.serves(KIND):
        return ()
    optional = [kind for kind in OPTIONAL if await client.serves(kind)]
    return (*OWNED, *optional, "Pod", KIND)


async def _wait_for_kinds(options: Options, client: KubeClient, stop: asyncio.Event) -> tuple[str, ...]:
    """Wait for our own kind, and for the right to see all kinds: kopf serves only what is there at its start."""
    waited = False
    pause_seconds = CRD_POLL_SECONDS
    _end_at_a_signal(stop)
    while not stop.is_set():
        try:
            kinds = await _kinds(client)
            rights = await sight.lacking(client, kinds, options.watched)
            if kinds and not rights:
                return kinds
            if rights:
                await sight.tell(client, rights, options.watched, options.identity)
                pause_seconds = min(2 * pause_seconds, LONGEST_BLIND_SECONDS)
            if not kinds and not waited:
                log.info("Waiting for the CustomResourceDefinition of %s.", KIND)
                waited = True
        except KubeError as error:
            log.warning("%s", error)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_seconds):
                await stop.wait()
    return ()


async def _until_served(client: KubeClient, missing: Sequence[str]) -> None:
    """Wait for a kind that was not there at the start; kopf watches only those that it is started with."""
    while True:
        await asyncio.sleep(OPTIONAL_POLL_SECONDS)
        for kind in missing:
            with suppress(KubeError):
                if await client.serves(kind):
                    log.info("The cluster serves %s now: watching it, too.", kind)
                    return


def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


if __name__ == "__main__":
    sys.exit(main())
