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
        console_port: where the console is served, on the loopback address alone; 0 means nowhere.
        exports_traces: whether OpenTelemetry's variables name somewhere to send spans to.
        most_spans: that wait for a collector; as many as OpenTelemetry's specification says.
    """

    namespace: str
    watched: tuple[str, ...]
    default_image: str
    identity: str
    metrics_port: int = 0
    console_port: int = 0
    exports_traces: bool = False
    most_spans: int = 2048


def read_options(environ: Mapping[str, str] | None = None) -> Options:
    """Read REALTIME_GATEWAY_OPERATOR_{NAMESPACE, WATCH, IMAGE, IDENTITY, METRICS_PORT, CONSOLE_PORT}, and OTEL_….

    Raises:
        ConfigurationError: one that is needed is missing, or cannot be used.
    """
    values = os.environ if environ is None else environ
    prefix = "REALTIME_GATEWAY_OPERATOR_"
    missing = [prefix + name for name in ("NAMESPACE", "IMAGE") if not values.get(prefix + name)]
    if missing:
        raise ConfigurationError(f"{' and '.join(missing)} must be set.", "The chart and the manifests set them.")
    exports_traces = _exports_traces(values)
    watched = (name.strip() for name in values.get(prefix + "WATCH", "").split(","))
    return Options(
        namespace=values[prefix + "NAMESPACE"],
        watched=tuple(name for name in watched if name),
        default_image=values[prefix + "IMAGE"],
        identity=values.get(prefix + "IDENTITY") or f"{socket.gethostname()}-{os.getpid()}",
        metrics_port=_port(prefix + "METRICS_PORT", values.get(prefix + "METRICS_PORT") or "0"),
        console_port=_port(prefix + "CONSOLE_PORT", values.get(prefix + "CONSOLE_PORT") or "0"),
        exports_traces=exports_traces,
        most_spans=_most_spans(values.get("OTEL_BSP_MAX_QUEUE_SIZE") if exports_traces else None),
    )


def _exports_traces(values: Mapping[str, str]) -> bool:
    if values.get("OTEL_SDK_DISABLED", "").lower() == "true" or values.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    if not any(values.get(f"OTEL_EXPORTER_OTLP_{name}") for name in ("ENDPOINT", "TRACES_ENDPOINT")):
        return False
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if values.get(variable) not in (None, "", "http/protobuf"):
            raise ConfigurationError(f"{variable} is {values[variable]!r}.", "The operator does http/protobuf.")
    return True


def _most_spans(value: str | None) -> int:
    if not value:
        return Options.most_spans
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise ConfigurationError(f"OTEL_BSP_MAX_QUEUE_SIZE is {value!r}.", "Give a number of spans.")
    return int(value)


def _port(variable: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) < 65536):
        raise ConfigurationError(f"{variable} is {value!r}.", "Give a port, or 0 for none.")
    return int(value)
