"""Where the host list and the options come from: the mounted files, CONFIG, REDIS_URL, in this order.

The file that the operator or `up` provides replaces ``hosts`` of CONFIG, since every existing project has them in its
settings. For everything else CONFIG wins over the resource.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from realtime_gateway.environment import Environment
from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import HostList
from realtime_gateway.layer.options import LayerOptions, plain_hosts, read_options

log = logging.getLogger("realtime_gateway.layer")


def choose_options(given: Mapping[str, Any], environment: Environment) -> LayerOptions:
    """Return CONFIG's options over those of the resource, if the process has one; report which ones differ.

    Raises:
        ConfigurationError: an option is unknown or cannot be used.
        ResourceInvalid: the resource cannot be read.
    """
    if environment.resource_file is None:
        return read_options(given)
    from realtime_gateway.resource import load_resource

    resource = load_resource(environment.resource_file).spec.channel_layer
    directory = environment.secrets_directory
    options, without = read_options(given, resource, directory), read_options({}, resource, directory)
    differing = sorted(name for name in given if name != "hosts" and getattr(options, name) != getattr(without, name))
    if differing:
        log.info("CONFIG of the channel layer wins over %s for %s", environment.resource_file, ", ".join(differing))
    return options


def choose_hosts(options: LayerOptions, environment: Environment) -> HostList:
    """Return the host list to start with.

    Raises:
        HostListInvalid: the source that counts cannot be used.
    """
    path = environment.hosts_file
    if path is None:
        return plain_hosts(options.hosts, environment)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise HostListInvalid(
            f"The host list {path} cannot be read: {error.strerror}.", "REALTIME_GATEWAY_CONFIG names it."
        ) from error
    if options.hosts:
        log.info("the host list %s replaces the hosts of the channel layer's CONFIG", path)
    return HostList.from_json(text, str(path))
