"""Serves the console on the loopback address of the operator's pod, where `kubectl port-forward` gets.

Nobody else does, so there is no login of its own: whoever may forward a port of the operator's pod may read it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from realtime_gateway.console.site import Site
from realtime_gateway.console.web import WebServer
from realtime_gateway.errors import ConfigurationError
from realtime_operator.console.cluster_source import Cluster
from realtime_operator.kube.client import KubeClient
from realtime_operator.observe.object_cache import ObjectCache
from realtime_operator.options import Options

log = logging.getLogger(__name__)


@asynccontextmanager
async def serving(
    options: Options, client: KubeClient, cache: ObjectCache, clock: Callable[[], float]
) -> AsyncIterator[None]:
    """Serve it in the block, where a port is set.

    Raises:
        ConfigurationError: somebody else has the port.
    """
    if not options.console_port:
        yield
        return
    cluster = Cluster(options, client, cache, clock)
    server = WebServer(Site(cluster.sources).handle, options.console_port)
    try:
        await server.start()
    except OSError as error:
        raise ConfigurationError(
            f"The console cannot be served on port {options.console_port}: {error.strerror}.",
            "Set REALTIME_GATEWAY_OPERATOR_CONSOLE_PORT to a port that is free, or to 0.",
        ) from error
    log.info("The console is at %s of this pod.", server.url)
    try:
        yield
    finally:
        await server.stop()
        await cluster.close()
