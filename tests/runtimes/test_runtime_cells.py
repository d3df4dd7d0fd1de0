"""`make cells`: what a table of scenarios, targets and runtimes may say of a cell that has no verdict."""

from __future__ import annotations

import importlib
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


@pytest.mark.real
@pytest.mark.containers
@pytest.mark.quiet
def test_a_cell_in_a_container_has_a_verdict(
    cells: ModuleType, servers_image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--scenario", "skew", "--target", "grpc", "--runtime", "container", "--out", str(tmp_path)]
    assert cells.main(chosen) == 0
    assert servers_image in (tmp_path / "skew-grpc-container" / "run.json").read_text(encoding="utf-8")
    assert "| skew | grpc | pass |" in capsys.readouterr().out
