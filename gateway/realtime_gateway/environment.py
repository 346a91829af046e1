"""The one reader of environment variables; everything else gets the frozen result.

    REALTIME_GATEWAY_CONFIG     path of the host-list document (realtime_gateway.hosts), replaced atomically
    REALTIME_GATEWAY_RESOURCE   path of the RealtimeGateway this process belongs to, as JSON or YAML
    REALTIME_GATEWAY_PROCESS    what to call this process in status, logs and `{prefix}:processes`; a pod's name
    REDIS_URL                   Redis URLs separated by commas; each is a shard
    REALTIME_GATEWAY_REDIS_USERNAME       who to log in as on shards and Sentinels of the host list that name nobody
    REALTIME_GATEWAY_REDIS_PASSWORD_FILE  path of a file with that user's password; no host list holds a password
    REALTIME_GATEWAY_REDIS_TLS_DIRECTORY  path of a directory with ca.crt, tls.crt and tls.key: by these, shards and
                                Sentinels of the host list are spoken to that name no URL and no TLS of their own
    REALTIME_GATEWAY_REDIS_TLS_NAME       the name that their certificates must have; unset: the host that is dialled
    REALTIME_GATEWAY_SECRETS              directory of the files with secrets (realtime_gateway.resource.secret_files)
    REALTIME_GATEWAY_RECENT_SPANS         how many of its last spans the process keeps, instead of the resource's number
    REALTIME_GATEWAY_ADMIN_PORT           where a worker tells its metrics and spans; unset: nowhere
    REALTIME_GATEWAY_ADMIN_BIND           at which address, instead of the loopback one; the operator sets 0.0.0.0
    DJANGO_SETTINGS_MODULE      read by Django itself
    LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES  sockets that systemd has opened for this process (sd_listen_fds(3))
    OTEL_…                      where traces go, as OpenTelemetry specifies; the SDK reads those that are not below

The operator mounts both files, `realtime-gateway up` writes them, and a process that has neither runs on its settings.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from realtime_gateway.errors import ConfigurationError

# systemd passes sockets from here on (SD_LISTEN_FDS_START).
FIRST_PASSED_FD = 3


@dataclass(frozen=True)
class OpenTelemetry:
    """What OpenTelemetry's variables say of traces and metrics; None where a variable is unset or empty.

    Addresses are left out of ``repr``: they may hold a password.

    Attributes:
        endpoint: OTEL_EXPORTER_OTLP_ENDPOINT, without the path of a signal.
        traces_endpoint: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, with its path.
        exporter: OTEL_TRACES_EXPORTER.
        protocol: OTEL_EXPORTER_OTLP_PROTOCOL, for signals that have none of their own.
        traces_protocol: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL.
        sampler: OTEL_TRACES_SAMPLER.
        sampler_argument: OTEL_TRACES_SAMPLER_ARG.
        metrics_endpoint: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, with its path.
        metrics_exporter: OTEL_METRICS_EXPORTER.
        metrics_protocol: OTEL_EXPORTER_OTLP_METRICS_PROTOCOL.
        metrics_interval: OTEL_METRIC_EXPORT_INTERVAL, in ms.
        queue_size: OTEL_BSP_MAX_QUEUE_SIZE, in spans.
        batch_size: OTEL_BSP_MAX_EXPORT_BATCH_SIZE, in spans.
        schedule_delay: OTEL_BSP_SCHEDULE_DELAY, in ms.
        disabled: OTEL_SDK_DISABLED.
    """

    endpoint: str | None = field(default=None, repr=False)
    traces_endpoint: str | None = field(default=None, repr=False)
    exporter: str | None = None
    protocol: str | None = None
    traces_protocol: str | None = None
    sampler: str | None = None
    sampler_argument: str | None = None
    metrics_endpoint: str | None = field(default=None, repr=False)
    metrics_exporter: str | None = None
    metrics_protocol: str | None = None
    metrics_interval: str | None = None
    queue_size: str | None = None
    batch_size: str | None = None
    schedule_delay: str | None = None
    disabled: bool = False


@dataclass(frozen=True)
class PassedSocket:
    """A socket that systemd has opened before it started this process.

    Attributes:
        fd: its descriptor here.
        name: FileDescriptorName of its unit, or the unit's own name.
    """

    fd: int
    name: str


@dataclass(frozen=True)
class Environment:
    """What the environment says, read once.

    Attributes:
        hosts_file: the host-list document, or None.
        resource_file: the resource this process belongs to, or None.
        process_name: None when nothing names the process.
        redis_urls: in the order given; empty when REDIS_URL is unset or blank. Left out of
            ``repr``: they may hold passwords.
        redis_username: for shards and Sentinels of the host list; None leaves it to the list.
        redis_password_file: where that user's password is; read at each connection, since it may be exchanged.
        redis_tls_directory: with ca.crt, tls.crt and tls.key, read at each connection; None leaves it to the list.
        redis_tls_name: None: the host that is dialled.
        secrets_directory: where the secrets are that the resource refers to, and passwords of single shards.
        recent_spans: None leaves it to the resource.
        admin_port: of a worker; None has none.
        admin_bind: its address; None is the loopback one.
        opentelemetry: OpenTelemetry's own variables. Left out of ``repr``: an address may hold a password.
    """

    hosts_file: Path | None
    resource_file: Path | None
    process_name: str | None
    redis_urls: tuple[str, ...]
    redis_username: str | None = None
    redis_password_file: Path | None = None
    redis_tls_directory: Path | None = None
    redis_tls_name: str | None = None
    secrets_directory: Path | None = None
    recent_spans: int | None = None
    admin_port: int | None = None
    admin_bind: str | None = None
    opentelemetry: OpenTelemetry = OpenTelemetry()

    def __repr__(self) -> str:
        return (
            f"Environment(hosts_file={self.hosts_file!r}, resource_file={self.resource_file!r}, "
            f"process_name={self.process_name!r}, redis_urls=<{len(self.redis_urls)} given>, "
            f"redis_username={self.redis_username!r}, redis_password_file={self.redis_password_file!r}, "
            f"redis_tls_directory={self.redis_tls_directory!r}, redis_tls_name={self.redis_tls_name!r}, "
            f"secrets_directory={self.secrets_directory!r}, "
            f"recent_spans={self.recent_spans!r}, admin_port={self.admin_port!r}, "
            f"admin_bind={self.admin_bind!r})"
        )


def read_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """Read the variables above from ``environ``, by default the process's own."""
    values = os.environ if environ is None else environ
    return Environment(
        hosts_file=_path(values.get("REALTIME_GATEWAY_CONFIG")),
        resource_file=_path(values.get("REALTIME_GATEWAY_RESOURCE")),
        process_name=values.get("REALTIME_GATEWAY_PROCESS") or None,
        redis_urls=tuple(url.strip() for url in values.get("REDIS_URL", "").split(",") if url.strip()),
        redis_username=values.get("REALTIME_GATEWAY_REDIS_USERNAME") or None,
        redis_password_file=_path(values.get("REALTIME_GATEWAY_REDIS_PASSWORD_FILE")),
        redis_tls_directory=_path(values.get("REALTIME_GATEWAY_REDIS_TLS_DIRECTORY")),
        redis_tls_name=values.get("REALTIME_GATEWAY_REDIS_TLS_NAME") or None,
        secrets_directory=_path(values.get("REALTIME_GATEWAY_SECRETS")),
        admin_port=_count(values.get("REALTIME_GATEWAY_ADMIN_PORT")),
        admin_bind=values.get("REALTIME_GATEWAY_ADMIN_BIND") or None,
        recent_spans=_count(values.get("REALTIME_GATEWAY_RECENT_SPANS")),
        opentelemetry=_opentelemetry(values),
    )


def passed_sockets(environ: Mapping[str, str] | None = None, pid: int | None = None) -> tuple[PassedSocket, ...]:
    """Return the sockets that systemd has passed to this process; none where it passed them to another, as our parent.

    Args:
        environ: by default the process's own.
        pid: by default the process's own.

    Raises:
        ConfigurationError: LISTEN_FDS is no number of sockets.
    """
    values = os.environ if environ is None else environ
    if values.get("LISTEN_PID") != str(os.getpid() if pid is None else pid):
        return ()
    count = values.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdigit()):
        raise ConfigurationError(f"LISTEN_FDS is {count!r}.", "It is the number of sockets that systemd passes.")
    names = values.get("LISTEN_FDNAMES", "").split(":") if values.get("LISTEN_FDNAMES") else []
    names += ["unknown"] * (int(count) - len(names))  # as sd_listen_fds_with_names(3) calls them
    return tuple(PassedSocket(FIRST_PASSED_FD + index, name) for index, name in enumerate(names[: int(count)]))


def _opentelemetry(values: Mapping[str, str]) -> OpenTelemetry:
    def given(name: str) -> str | None:
        return values.get(name) or None

    return OpenTelemetry(
        endpoint=given("OTEL_EXPORTER_OTLP_ENDPOINT"),
        traces_endpoint=given("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        exporter=given("OTEL_TRACES_EXPORTER"),
        protocol=given("OTEL_EXPORTER_OTLP_PROTOCOL"),
        traces_protocol=given("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
        sampler=given("OTEL_TRACES_SAMPLER"),
        sampler_argument=given("OTEL_TRACES_SAMPLER_ARG"),
        metrics_endpoint=given("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
        metrics_exporter=given("OTEL_METRICS_EXPORTER"),
        metrics_protocol=given("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"),
        metrics_interval=given("OTEL_METRIC_EXPORT_INTERVAL"),
        queue_size=given("OTEL_BSP_MAX_QUEUE_SIZE"),
        batch_size=given("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        schedule_delay=given("OTEL_BSP_SCHEDULE_DELAY"),
        disabled=values.get("OTEL_SDK_DISABLED", "").lower() == "true",
    )


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None


def _count(value: str | None) -> int | None:
    # What is no number stops the start where it is used, with the variable's name.
    return None if not value else int(value) if value.isdecimal() else -1
