"""Writes dashboards/*.json, which Grafana reads at its start: python observability/grafana/dashboards.py

A dashboard is a table of panels: what it answers, the PromQL, how to draw it. `$server` is the choice of servers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("dashboards")
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH, HEIGHT = 12, 8  # of Grafana's 24 columns


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `queries` are pairs of PromQL and legend; `lines` are limits, with their colours."""

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    told: str = ""
    lines: Sequence[tuple[float, str]] = ()
    logarithmic: bool = False
    table: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    uid: str
    title: str
    told: str
    panels: Sequence[Panel] = field(default_factory=tuple)


S = 'server=~"$server"'


def _burn(short: str, long: str, limit: float) -> Panel:
    """How many times too fast a budget is spent, over two windows that belong together."""
    return Panel(
        f"Burn rate over {short} and {long}",
        [
            (
                f"proofload:bad:share_rate{window}{{{S}}} / on (slo) group_left () proofload:error_budget:share",
                f"{{{{server}}}} {{{{slo}}}} {window}",
            )
            for window in (short, long)
        ],
        told=f"1 spends the budget of 30 days in 30 days. An alert is raised where both windows are above {limit:g}.",
        lines=[(limit, "red")],
    )


DASHBOARDS = (
    Dashboard(
        "proofload-serving",
        "proofload: serving",
        "Rate, latency and where the time goes, as the servers themselves see it.",
        [
            Panel("Requests", [(f"sum by (server) (proofload:requests:rate1m{{{S}}})", "{{server}}")], "reqps"),
            Panel(
                "Refused or failed",
                [
                    (
                        f'sum by (server, status) (proofload:requests:rate1m{{{S}, status!~"2.."}})',
                        "{{server}} {{status}}",
                    )
                ],
                "reqps",
            ),
            Panel(
                "Latency in the server",
                [
                    (f"proofload:request_seconds:{name}_1m{{{S}}}", f"{{{{server}}}} {name}")
                    for name in ("p50", "p95", "p99")
                ],
                "s",
                "From the request read to the answer ready, by buckets: coarse, and without what a client waits.",
                [(1.0, "red")],
                logarithmic=True,
            ),
            Panel(
                "Where the time goes",
                [
                    (f"proofload:queue_seconds:mean1m{{{S}}}", "{{server}} queue"),
                    (f"proofload:compute_seconds:mean1m{{{S}}}", "{{server}} compute"),
                ],
                "s",
                "Means per request; their sum is the time in the core.",
                logarithmic=True,
            ),
            Panel("Requests waiting", [(f"sum by (server) (proofload_queue_depth{{{S}}})", "{{server}}")]),
            Panel("Requests per batch", [(f"proofload:batch_size:mean1m{{{S}}}", "{{server}}")]),
            Panel(
                "Shed, and dropped at the deadline",
                [
                    (f"sum by (server) (rate(proofload_shed_total{{{S}}}[1m]))", "{{server}} shed"),
                    (f"sum by (server) (rate(proofload_expired_total{{{S}}}[1m]))", "{{server}} expired"),
                ],
                "reqps",
            ),
            Panel(
                "Answered from the cache",
                [(f"proofload:cache_hits:share_rate1m{{{S}}}", "{{server}}")],
                "percentunit",
                "Empty while the servers have no cache; CACHE=redis://redis:6379 gives them one.",
            ),
            Panel("Memory", [(f"sum by (server) (process_resident_memory_bytes{{{S}}})", "{{server}}")], "bytes"),
            Panel(
                "CPU",
                [(f"sum by (server) (rate(process_cpu_seconds_total{{{S}}}[1m]))", "{{server}}")],
                told="Cores in use. SERVER_CPUS is the limit of each server.",
            ),
        ],
    ),
    Dashboard(
        "proofload-slo",
        "proofload: objectives",
        "How fast the error budgets are spent; what is bad, and where the method is from, stands in rules/slo.yml.",
        [
            Panel(
                "Alerts",
                [('ALERTS{alertstate="firing"}', "")],
                told="There is no Alertmanager: nobody is woken.",
                table=True,
            ),
            Panel("Servers that answer", [(f'up{{job="servers", {S}}}', "{{server}}")], lines=[(1.0, "green")]),
            _burn("5m", "1h", 14.4),
            _burn("30m", "6h", 6),
            _burn("2h", "1d", 3),
            _burn("6h", "3d", 1),
            Panel(
                "Bad, by the last five minutes",
                [(f"proofload:bad:share_rate5m{{{S}}}", "{{server}} {{slo}}")],
                "percentunit",
                "Refused or failed (availability), slower than a second (latency).",
            ),
            Panel(
                "Budget of the last three days that is left",
                [
                    (
                        f"1 - proofload:bad:share_rate3d{{{S}}} / on (slo) group_left () proofload:error_budget:share",
                        "{{server}} {{slo}}",
                    )
                ],
                "percentunit",
                lines=[(0.0, "red")],
            ),
        ],
    ),
    Dashboard(
        "proofload-model",
        "proofload: the model",
        "Whether requests and predictions look as the model's card says they should.",
        [
            Panel(
                "Drift",
                [(f"proofload:drift_psi:max{{{S}}}", "{{server}} {{of}}")],
                told="Population stability index: from 0.10 retrain, from 0.15 a person looks, above 0.25 stop.",
                lines=[(0.10, "yellow"), (0.15, "orange"), (0.25, "red")],
            ),
            Panel(
                "More missing values than in the reference",
                [(f"proofload:missing_share:excess{{{S}}}", "{{server}} {{of}}")],
                "percentunit",
                lines=[(0.05, "red")],
            ),
            Panel(
                "Positive decisions",
                [
                    (f"max by (server) (proofload_decision_share{{{S}}})", "{{server}}"),
                    (f"max by (server) (proofload_decision_share_reference{{{S}}})", "{{server}} reference"),
                ],
                "percentunit",
            ),
            Panel(
                "Predictions looked at",
                [(f"sum by (server) (rate(proofload_watched_predictions_total{{{S}}}[1m]))", "{{server}}")],
                "reqps",
                "At most a hundred a second. Nothing is told of drift before 500, nor of a model without a reference.",
            ),
            Panel("Models", [(f"proofload_model_info{{{S}}}", "")], table=True),
        ],
    ),
)


def written(dashboard: Dashboard) -> str:
    """The file's text."""
    variable = {
        "name": "server",
        "label": "server",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": 'label_values(up{job="servers"}, server)', "refId": "server"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
    whole = {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.told,
        "tags": ["proofload"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {"list": [variable]},
        "panels": [_panel(place, panel) for place, panel in enumerate(dashboard.panels)],
    }
    return json.dumps(whole, indent=1) + "\n"


def _panel(place: int, panel: Panel) -> Mapping[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": SOURCE,
            "expr": expression,
            "legendFormat": legend,
            "instant": panel.table,
            "range": not panel.table,
            "format": "table" if panel.table else "time_series",
        }
        for number, (expression, legend) in enumerate(panel.queries)
    ]
    return {
        "id": place + 1,
        "type": "table" if panel.table else "timeseries",
        "title": panel.title,
        "description": panel.told,
        "datasource": SOURCE,
        "gridPos": {"x": place % 2 * WIDTH, "y": place // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "targets": targets,
        "fieldConfig": {"defaults": {} if panel.table else _drawing(panel), "overrides": []},
        "options": {} if panel.table else {"legend": {"displayMode": "list"}, "tooltip": {"mode": "multi"}},
    }


def _drawing(panel: Panel) -> Mapping[str, Any]:
    scale = {"type": "log", "log": 10} if panel.logarithmic else {"type": "linear"}
    steps = [{"color": "transparent", "value": None}, *({"color": name, "value": at} for at, name in panel.lines)]
    return {
        "unit": panel.unit,
        "color": {"mode": "palette-classic-by-name"},  # what is called the same has the same colour everywhere
        "thresholds": {"mode": "absolute", "steps": steps},
        "custom": {
            "lineWidth": 2,
            "fillOpacity": 0,
            "scaleDistribution": scale,
            "thresholdsStyle": {"mode": "line" if panel.lines else "off"},
        },
    }


if __name__ == "__main__":
    for one in DASHBOARDS:
        (FOLDER / f"{one.uid.removeprefix('proofload-')}.json").write_text(written(one), encoding="utf-8")
