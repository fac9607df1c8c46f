"""What a dashboard shows, as values; and those as Grafana wants them."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders.common import VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard as DashboardBuilder
from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, SortOrder, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef

_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
_COLUMNS = 2
_WIDTH = 24
_HEIGHT = 8


@dataclass(frozen=True, slots=True)
class Query:
    """expr: PromQL.  legend: of each series, with {{labels}}."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """unit: a Grafana unit id.  description: what it means and what to do about it.  signed: may be below 0."""

    title: str
    unit: str
    description: str
    queries: tuple[Query, ...]
    signed: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """rows: title to panels.  uid: under which others link to it."""

    uid: str
    title: str
    description: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for _, panels in self.rows for panel in panels)


def to_json(dashboard: Dashboard) -> str:
    """The file that Grafana imports or is provisioned with."""
    builder = (
        DashboardBuilder(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags(["telco-edge-functions"])
        .time("now-30m", "now")
        .timezone("browser")
        .refresh("10s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(DatasourceVariable("source").label("Prometheus").type("prometheus"))
    )
    for title, panels in dashboard.rows:
        builder = builder.with_row(Row(title))
        for panel in panels:
            builder = builder.with_panel(_panel(panel))
    return JSONEncoder(sort_keys=True, indent=1).encode(builder.build()) + "\n"


def _panel(panel: Panel) -> TimeSeries:
    built = (
        TimeSeries()
        .title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .datasource(_SOURCE)
        .height(_HEIGHT)
        .span(_WIDTH // _COLUMNS)
        .fill_opacity(8)
        .legend(
            VizLegendOptions().show_legend(True).display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if not panel.signed:
        built = built.min(0)
    for number, query in enumerate(panel.queries):
        ref = chr(ord("A") + number)
        built = built.with_target(Dataquery().ref_id(ref).expr(query.expr).legend_format(query.legend).range())
    return built
