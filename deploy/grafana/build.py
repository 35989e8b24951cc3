"""Builds the dashboard `sema.json` out of `panels.yml` (`make openapi`).

What must never happen: a dashboard edited in Grafana and copied back, which nobody can review.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

COLUMNS: Final = 24
"""Of Grafana's grid."""

HEIGHT: Final = 8
STAT_HEIGHT: Final = 4
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


def rows() -> list[dict[str, Any]]:
    """The content of `panels.yml`."""
    found: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "panels.yml").read_text())
    return found


def dashboard() -> dict[str, Any]:
    """The dashboard in Grafana's JSON (schema 38, Grafana 10 and later); ids are positions, so a diff stays small."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows():
        panels.append(_place({"type": "row", "title": row["row"], "collapsed": False}, 0, y, COLUMNS, 1))
        y += 1
        width = COLUMNS // len(row["panels"])
        height = max(STAT_HEIGHT if panel.get("stat") else HEIGHT for panel in row["panels"])
        for number, panel in enumerate(row["panels"]):
            panels.append(_place(_panel(panel), number * width, y, width, height))
        y += height
    return {
        "uid": "sema-link",
        "title": "Sema Link",
        "tags": ["sema"],
        "schemaVersion": 38,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [{"id": number} | panel for number, panel in enumerate(panels, 1)],
    }


def _place(panel: dict[str, Any], x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return panel | {"gridPos": {"x": x, "y": y, "w": width, "h": height}}


def _panel(panel: dict[str, Any]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if "limit" in panel:
        steps.append({"color": "red", "value": panel["limit"]})
    custom = {"thresholdsStyle": {"mode": "line" if "limit" in panel else "off"}, "fillOpacity": 8}
    return {
        "type": "stat" if panel.get("stat") else "timeseries",
        "title": panel["title"],
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {
                "unit": panel["unit"],
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": {} if panel.get("stat") else custom,
            },
            "overrides": [],
        },
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for number, (legend, expression) in enumerate(panel["queries"].items())
        ],
    }


def render() -> str:
    """The text of `sema.json`."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"
