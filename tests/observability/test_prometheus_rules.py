"""Prometheus accepts its configuration and rules; every alert fires when it should, and not when it should not."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.observability.promql import metrics_in

HERE = Path(__file__).resolve().parents[2] / "observability" / "prometheus"
UNIT_TESTS = sorted((HERE / "tests").glob("*.yml"))
METHOD = {
    "BudgetBurnsIn2Days": (14.4, "5m", "1h", "page"),
    "BudgetBurnsIn5Days": (6.0, "30m", "6h", "page"),
    "BudgetBurnsIn10Days": (3.0, "2h", "1d", "ticket"),
    "BudgetBurnsIn30Days": (1.0, "6h", "3d", "ticket"),
}


def promtool(program: str, *words: str | Path) -> str:
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_prometheus_accepts_its_configuration(required_program: Callable[..., str]) -> None:
    program = required_program("promtool")
    assert "3 rule files found" in promtool(program, "check", "config", HERE / "prometheus.yml")
    promtool(program, "check", "rules", "--lint-fatal", *sorted((HERE / "rules").glob("*.yml")))


@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: file.stem)
def test_rules_do_what_their_tests_say(file: Path, required_program: Callable[..., str]) -> None:
    promtool(required_program("promtool"), "test", "rules", file)


def test_every_alert_is_tested_both_ways(rules: list[dict[str, Any]]) -> None:
    asked = [
        case
        for file in UNIT_TESTS
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]
        for case in test["alert_rule_test"]
    ]
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    assert {case["alertname"] for case in asked if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in asked if not case["exp_alerts"]} == alerts


def test_the_burn_rates_and_windows_are_those_of_the_method(rules: list[dict[str, Any]]) -> None:
    found = {}
    for rule in rules:
        if rule.get("alert", "").startswith("BudgetBurns"):
            pairs = re.findall(r"share_rate(\w+) > on \(slo\) group_left \(\) ([\d.]+) \*", rule["expr"])
            (short, factor), (long, same) = pairs
            assert factor == same
            assert rule["labels"]["window"] == long
            found[rule["alert"]] = (float(factor), short, long, rule["labels"]["severity"])
    assert found == METHOD


def test_each_objective_is_measured_over_every_window_that_an_alert_needs(rules: list[dict[str, Any]]) -> None:
    windows = {window for _, short, long, _ in METHOD.values() for window in (short, long)}
    for slo in ("availability", "latency"):
        measured = [rule for rule in rules if rule.get("labels") == {"slo": slo} and "bad" in rule["record"]]
        assert {rule["record"].removeprefix("proofload:bad:share_rate") for rule in measured} == windows
        for rule in measured:
            (window,) = set(re.findall(r"\[(\w+)\]", rule["expr"]))
            assert rule["record"].endswith(f"rate{window}")


def test_the_latency_objective_stands_on_an_edge_of_the_servers_histogram(rules: list[dict[str, Any]]) -> None:
    from proofload_servers.serving.metrics import SECONDS

    edges = {edge for rule in rules for edge in re.findall(r'le="([\d.]+)"', rule["expr"])}
    assert edges
    assert {float(edge) for edge in edges} <= set(SECONDS)


def test_rules_ask_only_for_what_servers_export_or_rules_record(
    rules: list[dict[str, Any]], exported: set[str], recorded: set[str]
) -> None:
    for rule in rules:
        assert metrics_in(rule["expr"]) <= exported | recorded, rule


def test_metrics_are_found_in_an_expression() -> None:
    expression = (
        'sum by (server) (rate(a_total{x="b"}[5m])) / on (s) group_left () c:d:e > 0.1 or max_over_time(up[1h])'
    )
    assert metrics_in(expression) == {"a_total", "c:d:e", "up"}
