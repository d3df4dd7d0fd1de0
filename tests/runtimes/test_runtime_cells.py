"""`make cells`: what a table of scenarios, targets and runtimes may say of a cell that has no verdict."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from proofload.errors import EXIT_BAD_INPUT

NO_IMAGE = "error: the image proofload-servers:cpu is not here\n  evidence: none\n"
NO_STREAM = "error: this scenario speaks no Kafka\n  evidence: none\n"


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch, checkout: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))
    return importlib.import_module("runtime_cells")


def table(
    cells: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refusals: dict[str, str]
) -> tuple[int, str]:
    def refused(words: Sequence[str]) -> tuple[int, str]:
        runtime = words[words.index("--runtime") + 1]
        return EXIT_BAD_INPUT, refusals[runtime]

    monkeypatch.setattr(cells, "_ran", refused)
    report = tmp_path / "containers.md"
    chosen = ["--scenario", "skew", "--target", "kafka", "--out", str(tmp_path / "cells"), "--report", str(report)]
    code: int = cells.main(chosen)
    return code, report.read_text(encoding="utf-8")


def test_what_is_refused_in_the_same_words_everywhere_does_not_apply(
    cells: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, text = table(cells, monkeypatch, tmp_path, {"container": NO_STREAM, "process": NO_STREAM})
    assert code == 0
    assert "| skew | kafka | does not apply | does not apply |" in text
    assert "this scenario speaks no Kafka" in text


def test_a_missing_image_is_no_reason_why_a_scenario_does_not_apply_and_is_not_remembered(
    cells: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, text = table(cells, monkeypatch, tmp_path, {"container": NO_IMAGE, "process": NO_STREAM})
    assert code == 1
    assert "| skew | kafka | not run | not run |" in text
    code, text = table(cells, monkeypatch, tmp_path, {"container": NO_STREAM, "process": NO_STREAM})
    assert code == 0


@pytest.mark.parametrize("changes", [[], ["--set", "rate_rps=5"], ["--set", "rate_rps=5", "--set", "seed=2"]])
def test_a_cell_that_was_made_with_other_settings_is_not_taken_for_one_of_these(
    cells: ModuleType, tmp_path: Path, changes: list[str]
) -> None:
    folder = tmp_path / "skew-grpc-process"
    folder.mkdir()
    (folder / "run.json").write_text('{"command": "proofload run skew --set rate_rps=7"}', encoding="utf-8")
    (folder / "result.json").write_text("{}", encoding="utf-8")
    chosen = ["--scenario", "skew", "--target", "grpc", "--runtime", "process", "--out", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"other settings .*rate_rps=7.*--out"):
        cells.main([*chosen, *changes])


SAMPLED = {
    ("skew", "flask"): ("rate_rps=500", "duration_s=4", "singly_s=1"),
    ("cold-start", "grpc"): (
        *("restarts=5", "load_s=0.5", "steady_s=3", "joining_s=2"),
        *("slo.ok_share=0.98", "ready_limit_s=60", "penalty_ms=5000"),
    ),
}
"""Cells, and what makes them shorter than the quick form, and no slowness of a busy machine a defect."""


@pytest.mark.real
@pytest.mark.containers
@pytest.mark.timeout(300)  # the image may have to be built
@pytest.mark.parametrize(("scenario", "target"), SAMPLED)
def test_a_cell_in_a_container_has_a_verdict(
    cells: ModuleType,
    servers_image: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    scenario: str,
    target: str,
) -> None:
    chosen = ["--scenario", scenario, "--target", target, "--runtime", "container", "--out", str(tmp_path)]
    changes = [word for change in SAMPLED[scenario, target] for word in ("--set", change)]
    assert cells.main([*chosen, *changes]) == 0
    assert re.search(rf"\| {scenario} \| {target} \| (pass|inconclusive|invalid)\b", capsys.readouterr().out)
    run = tmp_path / f"{scenario}-{target}-container"
    assert servers_image in (run / "run.json").read_text(encoding="utf-8")
    lives = json.loads((run / "result.json").read_text(encoding="utf-8"))["details"].get("lives", [])
    assert len(lives) == (5 if scenario == "cold-start" else 0)
    for life in lives:
        instants = life["instants_s"]
        order = [instants[name] for name in ("created", "started", "port_bound", "ready", "first_correct")]
        assert order == sorted(order)
