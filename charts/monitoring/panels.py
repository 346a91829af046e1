"""The kinds of panels that the dashboards are made of, and a dashboard of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

TAG = "realtime-gateway"
# Which series a dashboard shows: all of one installation, or of some.
PLACE = 'namespace=~"$namespace",job=~"$job"'
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT = 8
# Of the 24 columns that a row has.
_THIRD, _QUARTER = 8, 6


@dataclass(frozen=True)
class Query:
    """What a panel asks Prometheus, and what it calls each series that comes; ``{{label}}`` is Grafana's."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Lines:
    """Series over time."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]


@dataclass(frozen=True)
class Number:
    """What it is now."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]


@dataclass(frozen=True)
class Spread:
    """A histogram over time, as a heat map; its query is summed by ``le``."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]


Panel = Lines | Number | Spread


@dataclass(frozen=True)
class Page:
    """One dashboard.

    Attributes:
        uid: names it in links, for good.
        variable_of: the metric whose namespaces and jobs can be chosen.
        rows: title → panels.
    """

    uid: str
    title: str
    description: str
    variable_of: str
    rows: dict[str, Sequence[Panel]]


def render(page: Page) -> str:
    """Return a dashboard as Grafana imports it."""
    built = (
        dashboard.Dashboard(f"RealtimeGateway / {page.title}")
        .uid(page.uid)
        .description(page.description)
        .tags([TAG])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("RealtimeGateway")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_choice("namespace", f"label_values({page.variable_of}, namespace)"))
        .with_variable(_choice("job", f'label_values({page.variable_of}{{namespace=~"$namespace"}}, job)'))
    )
    ids = count(1)  # by which links lead to a panel
    for title, panels in page.rows.items():
        built.with_row(dashboard.Row(title).id(next(ids)))
        for panel in panels:
            built.with_panel(_panel(panel).id(next(ids)))
    made = json.loads(JSONEncoder().encode(built.build()))
    return json.dumps(_of_every_version(made), sort_keys=True, indent=2) + "\n"


def _of_every_version(made: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the SDK's oldest schema has a default for, and the newest no longer knows."""
    del made["style"]
    for variable in made["templating"]["list"]:
        del variable["id"]
    for panel in made["panels"]:
        if panel["type"] == "heatmap":
            # Shown or not before, and one or many since: Grafana 10 shows what says nothing of it.
            panel["options"]["tooltip"] = {"mode": "single"}
    return made


def _choice(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        # Whatever they are, and none at all: who scrapes without Kubernetes has no namespaces.
        .all_value(".*")
        .multi(True)
    )


def _panel(panel: Panel) -> Any:
    match panel:
        case Lines():
            built: Any = _lines()
        case Number():
            built = stat.Panel().height(_HEIGHT // 2).span(_QUARTER)
        case Spread():
            built = heatmap.Panel().calculate(False).height(_HEIGHT).span(_THIRD)
    built = built.title(panel.title).description(panel.description).datasource(SOURCE)
    built = (
        built.y_axis(heatmap.YAxisConfig().unit(panel.unit)) if isinstance(panel, Spread) else built.unit(panel.unit)
    )
    for number, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(chr(65 + number))
        if isinstance(panel, Spread):
            target = target.format(PromQueryFormat.HEATMAP).legend_format("{{le}}")
        target = target.instant() if isinstance(panel, Number) else target.range().exemplar(True)
        built = built.with_target(target)
    return built


def _lines() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .height(_HEIGHT)
        .span(_THIRD)
        .min(0)
        .fill_opacity(10)
        .line_width(1)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
