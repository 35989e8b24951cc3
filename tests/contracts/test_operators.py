"""What operators look at: alerts and dashboard ask for metrics that exist, and each alert says what to do.

That the rules fire when they should is `promtool test rules deploy/prometheus/alerts_test.yml`.
"""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.metrics import MetricWrapperBase

from deploy.grafana import build
from deploy.local.services import SERVICES

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
FROM_SCRAPING = {"service", "instance", "job"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def exported() -> dict[str, set[str]]:
    """The labels of every series that the seven rooms export, by its name."""
    for service in SERVICES:
        import_module(f"sema_{service.replace('-', '_')}.app")
    import_module("sema_common.platform.runtime")
    modules = [module for name, module in sys.modules.items() if name.startswith("sema_")]
    metrics = {m for module in modules for m in vars(module).values() if isinstance(m, MetricWrapperBase)}
    return {
        family.name + suffix: {*metric._labelnames, *(["le"] if suffix == "_bucket" else [])}
        for metric in metrics
        for family in metric.describe()
        for suffix in SUFFIXES[family.type]
    }


SERIES = exported()
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERT_NAMES = [alert["alert"] for alert in ALERTS]
PANELS = {panel["title"]: panel for row in build.rows() for panel in row["panels"]}
EXPRESSIONS = {
    **{alert["alert"]: alert["expr"] for alert in ALERTS},
    **{f"{title}: {legend}": text for title, p in PANELS.items() for legend, text in p["queries"].items()},
}
every_alert = pytest.mark.parametrize("alert", ALERTS, ids=ALERT_NAMES)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_asks_for_what_is_exported(name: str) -> None:
    asked = re.findall(r"\b(sema_\w+)(?:{([^}]*)})?", EXPRESSIONS[name])
    labels: set[str] = set().union(*(SERIES.get(series, set()) for series, _ in asked))
    assert {series for series, _ in asked} <= SERIES.keys()
    for series, matchers in asked:
        assert (
            set(re.findall(r"(\w+)\s*[=!]", re.sub(r'"[^"]*"', "", matchers)))
            <= SERIES[series] | FROM_SCRAPING
        )
    by = re.findall(r"\b(?:by|on) \(([^)]*)\)", EXPRESSIONS[name])
    assert {label.strip() for group in by for label in group.split(",")} <= labels | FROM_SCRAPING


@every_alert
def test_an_alert_has_a_summary_a_runbook_section_and_a_case(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / page).read_text(), re.MULTILINE)
    cases = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    assert alert["annotations"]["summary"]
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert anchor == alert["alert"].lower()
    assert alert["alert"] in headings
    assert alert["alert"] in {test["alertname"] for case in cases for test in case["alert_rule_test"]}


def test_the_page_of_alerts_tells_of_no_alert_that_is_gone() -> None:
    page = (ROOT / "docs" / "operations" / "alerts.md").read_text()
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == ALERT_NAMES


def test_every_room_is_scraped() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert [target["labels"]["service"] for target in job["static_configs"]] == list(SERVICES)
