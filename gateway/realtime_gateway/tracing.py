"""What starts a process begins to trace here: where traces go, says the environment, and else the resource.

`serve` calls ``start_tracing``, and the commands of ``manage.py`` that run consumers ``trace_command``. Any other
process that has our app, such as uvicorn or a WSGI site that only sends, makes spans when its project has set a tracer
provider (``follow_project``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from realtime_gateway import __version__
from realtime_gateway.environment import Environment, OpenTelemetry, read_environment
from realtime_gateway.errors import ConfigurationError, GatewayError
from realtime_gateway.resource import load_resource
from realtime_gateway.resource.spec import RealtimeGateway, Telemetry
from realtime_gateway.telemetry import metrics_export as metrics_exports
from realtime_gateway.telemetry import spans, worker_page
from realtime_gateway.telemetry.destinations import Destinations
from realtime_gateway.telemetry.exporters import GRPC, HTTP, Protocol, QueueBounds, checked, signal_url
from realtime_gateway.telemetry.metrics_export import INTERVAL_SECONDS, MetricsExport
from realtime_gateway.telemetry.sdk import TraceExport, project_has_provider, wire

DEFAULT_SERVICE = "realtime-gateway"
PROTOCOLS = (None, HTTP, GRPC)
EXPORTERS = (None, "otlp", "none")
# Sampler → its ratio; None takes OTEL_TRACES_SAMPLER_ARG.
RATIOS = {
    "always_on": 1.0,
    "parentbased_always_on": 1.0,
    "always_off": 0.0,
    "parentbased_always_off": 0.0,
    "traceidratio": None,
    "parentbased_traceidratio": None,
}


def start_tracing(environment: Environment, resource: RealtimeGateway | None) -> Callable[[], None]:
    """Begin to trace and to send metrics, if anything says so; return what ends it.

    Call it once the application is imported.

    Raises:
        ConfigurationError: what the environment says cannot be done.
    """
    traces, metrics = trace_export(environment, resource), metrics_export(environment, resource)
    end_traces = wire(traces)
    _handle_in_context()
    sending = metrics_exports.start(metrics)
    if sending is None:
        return end_traces

    def end() -> None:
        # At the same time: a process that was told to end may not take twice as long for two dead collectors.
        sending.stop()
        end_traces()
        sending.wait()

    return end


@contextmanager
def trace_command() -> Iterator[None]:
    """Trace what a command of ``manage.py`` runs in the block.

    Raises:
        CommandError: what the environment or its resource says cannot be done.
    """
    # A server of something else than Django has no need of it.
    from django.core.management import CommandError

    environment = read_environment()
    file = environment.resource_file
    try:
        if environment.admin_port is not None and not 0 < environment.admin_port < 65_536:
            raise ConfigurationError("REALTIME_GATEWAY_ADMIN_PORT is no port.", "Give a number from 1 to 65535.")
        end = start_tracing(environment, None if file is None else load_resource(file))
    except GatewayError as error:
        raise CommandError(f"{error.message} {error.remedy}") from error
    port = environment.admin_port
    bind = environment.admin_bind or worker_page.LOOPBACK
    end_page = None if port is None else worker_page.serve((bind, port), environment.process_name)
    try:
        yield
    finally:
        if end_page is not None:
            end_page()
        end()


def follow_project() -> None:
    """Make spans if the project has set a tracer provider, and leave everything as it is otherwise."""
    if project_has_provider():
        wire(TraceExport(endpoint=None, ratio=0.0))
        _handle_in_context()


def _handle_in_context() -> None:
    if spans.is_wired() and "channels.consumer" in sys.modules:
        from realtime_gateway.consumers import handler_context

        handler_context.apply()


def trace_export(environment: Environment, resource: RealtimeGateway | None) -> TraceExport:
    """Return where the spans of this process go.

    Raises:
        ConfigurationError: a variable has a value that is not known here.
    """
    telemetry = Telemetry() if resource is None else resource.spec.telemetry
    given = environment.opentelemetry
    endpoint = given.traces_endpoint
    base = given.endpoint or telemetry.otlp_endpoint
    everywhere = TraceExport(
        endpoint=None,
        ratio=0.0,
        destinations=Destinations(telemetry.destination_names, _hash_key(resource)),
        reads_messages=telemetry.context_in_messages,
    )
    if given.disabled:
        return everywhere
    everywhere = replace(everywhere, recent_spans=_recent_spans(environment, telemetry))
    # A provider of the project's own follows the variables in its own way, and may do what cannot be done here.
    if project_has_provider():
        return everywhere
    everywhere = replace(everywhere, attributes=_attributes(environment, resource))
    if given.exporter == "none" or (endpoint is None and base is None):
        return everywhere
    _check(given)
    protocol = _protocol("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", given.traces_protocol, given, telemetry)
    if endpoint is None and base is not None:
        endpoint = base if protocol == GRPC else signal_url(base, "traces")
    return replace(
        everywhere,
        endpoint=endpoint,
        ratio=_ratio(given, telemetry.sampling_ratio),
        sampler_is_given=given.sampler is not None,
        protocol=protocol,
        queue=_queue(given),
    )


def metrics_export(environment: Environment, resource: RealtimeGateway | None) -> MetricsExport:
    """Return where the metrics of this process go.

    Raises:
        ConfigurationError: a variable has a value that is not known here.
    """
    given = environment.opentelemetry
    telemetry = Telemetry() if resource is None else resource.spec.telemetry
    base = given.endpoint or telemetry.otlp_endpoint
    endpoint = given.metrics_endpoint or base
    # A project with providers of its own follows the variables in its own way.
    if given.disabled or given.metrics_exporter == "none" or endpoint is None or project_has_provider():
        return MetricsExport(None)
    _check_words("OTEL_METRICS_EXPORTER", given.metrics_exporter, EXPORTERS)
    protocol = _protocol("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", given.metrics_protocol, given, telemetry)
    if given.metrics_endpoint is None and protocol == HTTP:
        endpoint = signal_url(endpoint, "metrics")
    interval_ms = _positive("OTEL_METRIC_EXPORT_INTERVAL", given.metrics_interval, "milliseconds between two exports")
    seconds = INTERVAL_SECONDS if interval_ms is None else interval_ms / 1000
    return MetricsExport(endpoint, seconds, _attributes(environment, resource), protocol)


def _protocol(variable: str, value: str | None, given: OpenTelemetry, telemetry: Telemetry) -> Protocol:
    if value is None:
        variable, value = "OTEL_EXPORTER_OTLP_PROTOCOL", given.protocol
    _check_words(variable, value, PROTOCOLS)
    return telemetry.otlp_protocol if value is None else checked(value)


def _queue(given: OpenTelemetry) -> QueueBounds:
    bounds = QueueBounds()
    most = _positive("OTEL_BSP_MAX_QUEUE_SIZE", given.queue_size, "most spans that wait")
    batch = _positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", given.batch_size, "spans of one export")
    delay_ms = _positive("OTEL_BSP_SCHEDULE_DELAY", given.schedule_delay, "milliseconds for which a span waits")
    most = bounds.most if most is None else most
    return QueueBounds(
        most=most,
        batch=min(bounds.batch if batch is None else batch, most),
        delay_seconds=bounds.delay_seconds if delay_ms is None else delay_ms / 1000,
    )


def _positive(variable: str, value: str | None, meaning: str) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise ConfigurationError(f"{variable} is {value!r}.", f"Give the {meaning}, above 0.")
    return int(value)


def _attributes(environment: Environment, resource: RealtimeGateway | None) -> dict[str, str]:
    attributes = {
        "service.name": DEFAULT_SERVICE if resource is None else resource.name,
        "service.version": __version__,
        "service.namespace": None if resource is None else resource.namespace,
        "service.instance.id": environment.process_name,
    }
    return {name: value for name, value in attributes.items() if value}


def _hash_key(resource: RealtimeGateway | None) -> bytes:
    """Return what only the processes of a site know: Django's key where there is one, else the resource's name."""
    if "django.conf" in sys.modules:
        from django.conf import settings

        if settings.configured:
            return str(settings.SECRET_KEY).encode()
    return b"" if resource is None else f"{resource.namespace}/{resource.name}".encode()


def _recent_spans(environment: Environment, telemetry: Telemetry) -> int:
    number = telemetry.recent_spans if environment.recent_spans is None else environment.recent_spans
    if number < 0:
        raise ConfigurationError("REALTIME_GATEWAY_RECENT_SPANS is no number.", "Give how many spans to keep, or 0.")
    return number


def _check(given: OpenTelemetry) -> None:
    for variable, value, known in (
        ("OTEL_TRACES_EXPORTER", given.exporter, EXPORTERS),
        ("OTEL_TRACES_SAMPLER", given.sampler, (None, *RATIOS)),
    ):
        _check_words(variable, value, known)


def _check_words(variable: str, value: str | None, known: tuple[str | None, ...]) -> None:
    if value not in known:
        words = ", ".join(word for word in known if word)
        raise ConfigurationError(f"{variable} is {value!r}, which this version cannot do.", f"It does: {words}.")


def _ratio(given: OpenTelemetry, wanted: float) -> float:
    if given.sampler is None:
        return wanted
    ratio = RATIOS[given.sampler]
    if ratio is not None:
        return ratio
    try:
        ratio = float(given.sampler_argument or 1)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ConfigurationError(
            f"OTEL_TRACES_SAMPLER_ARG is {given.sampler_argument!r}.", "Give the fraction of traces, from 0 to 1."
        )
    return ratio
