"""Grafana's dashboards: what the generator writes, in PromQL that parses, about metrics that exist."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.observability.promql import metrics_in

GRAFANA = Path(__file__).resolve().parents[2] / "observability" / "grafana"
FILES = sorted((GRAFANA / "dashboards").glob("*.json"))


@pytest.fixture(scope="module")
def generator() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("dashboards", GRAFANA / "dashboards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dashboards"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["dashboards"]


def panels() -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in FILES:
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            yield file, panel


def expressions() -> list[str]:
    """With the choice of servers at "All", which is the pattern .*"""
    return [target["expr"].replace("$server", ".*") for _, panel in panels() for target in panel["targets"]]


def test_no_file_is_stale(generator: Any) -> None:
    written = {f"{one.uid.removeprefix('proofload-')}.json": generator.written(one) for one in generator.DASHBOARDS}
    found = {file.name: file.read_text(encoding="utf-8") for file in FILES}
    assert found == written, "run python observability/grafana/dashboards.py"


def test_dashboards_and_panels_have_names_of_their_own() -> None:
    assert len(FILES) == 3
    whole = [json.loads(file.read_text(encoding="utf-8")) for file in FILES]
    assert len({one["uid"] for one in whole}) == len({one["title"] for one in whole}) == len(FILES)
    for one in whole:
        assert len({panel["id"] for panel in one["panels"]}) == len(one["panels"])
        assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in one["panels"]}) == len(one["panels"])
        assert all(panel["title"] and panel["targets"] for panel in one["panels"])


def test_every_query_goes_to_the_provisioned_source() -> None:
    provisioning = GRAFANA / "provisioning" / "datasources" / "prometheus.yml"
    (source,) = yaml.safe_load(provisioning.read_text(encoding="utf-8"))["datasources"]
    for _, panel in panels():
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}


def test_every_expression_parses(tmp_path: Path, required_program: Callable[..., str]) -> None:
    rules = [{"record": f"panel:{number}", "expr": told} for number, told in enumerate(expressions())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    command = [required_program("promtool"), "check", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"{len(rules)} rules found" in done.stdout


def test_every_expression_asks_for_what_servers_export_or_rules_record(exported: set[str], recorded: set[str]) -> None:
    for expression in expressions():
        asked = metrics_in(expression)
        assert asked
        assert asked <= exported | recorded, expression


def test_every_legend_names_a_label_that_its_query_keeps() -> None:
    for _, panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = re.search(r"\b(?:sum|max|count) by \(([^)]*)\)", target["expr"])
            if kept:
                assert named <= {label.strip() for label in kept[1].split(",")}, target["expr"]
