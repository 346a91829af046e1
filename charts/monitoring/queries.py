"""What panels ask Prometheus: a metric of ours, its rate, and how a histogram of it is spread."""

from __future__ import annotations

from charts.monitoring.panels import PLACE, Lines, Query, Spread

RATE = "$__rate_interval"


def metric(name: str, **labels: str) -> str:
    """A metric with labels; a value that begins with ~ is an expression."""
    more = (f',{label}=~"{value[1:]}"' if value[0] == "~" else f',{label}="{value}"' for label, value in labels.items())
    return f"realtime_gateway_{name}{{{PLACE}{''.join(more)}}}"


def rate(name: str, by: str = "") -> str:
    """How often per second, summed over what is shown, or by one label."""
    summed = f"sum by ({by})" if by else "sum"
    return f"{summed} (rate({metric(name)}[{RATE}]))"


def quantile(part: float, name: str, by: str = "") -> str:
    """What a part of all stays below, of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({part}, sum by ({labels}) (rate({metric(name + '_bucket')}[{RATE}])))"


def latency(title: str, description: str, name: str, by: str = "") -> Lines:
    """The median, and what one in twenty and one in a hundred exceeds."""
    legend = f" {{{{{by}}}}}" if by else ""
    queries = [Query(quantile(part, name, by), f"p{part * 100:g}{legend}") for part in (0.5, 0.95, 0.99)]
    return Lines(title, description, "s", queries)


def spread(title: str, description: str, name: str) -> Spread:
    """A whole histogram over time."""
    return Spread(title, description, "s", [Query(rate(f"{name}_bucket", "le"))])
