"""The operator's own settings, read once from the environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from realtime_gateway.errors import ConfigurationError


@dataclass(frozen=True)
class Options:
    """What an installation decides.

    Attributes:
        namespace: where this operator runs; its Lease is there.
        watched: namespaces whose resources are served; empty means all.
        default_image: for gateway and workers of resources that name no image.
        identity: tells this operator from the others.
        metrics_port: where Prometheus is answered; 0 means nowhere.
    """

    namespace: str
    watched: tuple[str, ...]
    default_image: str
    identity: str
    metrics_port: int = 0


def read_options(environ: Mapping[str, str] | None = None) -> Options:
    """Read REALTIME_GATEWAY_OPERATOR_{NAMESPACE, WATCH, IMAGE, IDENTITY, METRICS_PORT}.

    Raises:
        ConfigurationError: one that is needed is missing, or cannot be used.
    """
    values = os.environ if environ is None else environ
    prefix = "REALTIME_GATEWAY_OPERATOR_"
    missing = [prefix + name for name in ("NAMESPACE", "IMAGE") if not values.get(prefix + name)]
    if missing:
        raise ConfigurationError(f"{' and '.join(missing)} must be set.", "The chart and the manifests set them.")
    watched = (name.strip() for name in values.get(prefix + "WATCH", "").split(","))
    return Options(
        namespace=values[prefix + "NAMESPACE"],
        watched=tuple(name for name in watched if name),
        default_image=values[prefix + "IMAGE"],
        identity=values.get(prefix + "IDENTITY") or f"{socket.gethostname()}-{os.getpid()}",
        metrics_port=_port(prefix + "METRICS_PORT", values.get(prefix + "METRICS_PORT") or "0"),
    )


def _port(variable: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) < 65536):
        raise ConfigurationError(f"{variable} is {value!r}.", "Give a port, or 0 for none.")
    return int(value)
