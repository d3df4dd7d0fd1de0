"""The section of a peak-10x run, from a run in virtual time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proofload.judging import judge
from proofload.procedures import peak_10x
from proofload.report.document import Note, Picture, Table
from proofload.report.sections.experiment import section
from proofload.report.sections.page import page_of
from proofload.report.view import RunView, view
from proofload.scenarios import load_scenario
from proofload.store.folder import write_json
from proofload.store.record import RunRecord
from proofload.store.result_json import result_to_json
from proofload.testing.simulated_bench import queue, simulated_run


def recorded(path: Path, took: Any) -> RunView:
    scenario = load_scenario("peak-10x", quick=True, overrides={"max_rps": 500})
    with simulated_run(path, scenario, took, runtime="external") as bench:
        peak_10x.create().conduct(bench, scenario)
    write_json(path / "result.json", result_to_json(judge(RunRecord(path))))
    return view(RunRecord(path))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return recorded(tmp_path_factory.mktemp("peak"), queue(0.01))


def test_the_curve_and_the_hold_are_drawn_and_told(shown: RunView) -> None:
    found = section(page_of([shown]))
    assert found is not None
    pictures = [block for block in found.blocks if isinstance(block, Picture)]
    assert len(pictures) == 2
    for picture in pictures:
        ET.fromstring(picture.draw())
        assert shown.label in picture.alt
    assert "goodput against offered load" in pictures[0].alt
    assert pictures[1].sketch.startswith("due")


def test_every_step_has_a_row(shown: RunView) -> None:
    found = section(page_of([shown]))
    assert found is not None
    steps = next(block for block in found.blocks if isinstance(block, Table))
    assert [row[0] for row in steps.rows] == ["0.5×", "1×", "1.5×", "2×", "3×", "5×", "10×", "back at 1×"]


def test_what_could_not_be_seen_is_said(shown: RunView) -> None:
    found = section(page_of([shown]))
    assert found is not None
    notes = [block.text for block in found.blocks if isinstance(block, Note)]
    assert any("Not part of the verdict: threads per core" in text for text in notes)
    assert any("Not part of the verdict: responsiveness" in text for text in notes)


def test_a_run_without_a_ramp_says_so(tmp_path: Path) -> None:
    silent = recorded(tmp_path, lambda due, _: np.full(len(due), 9_000_000_000))
    found = section(page_of([silent]))
    assert found is not None
    assert "no ramp" in str(found.blocks[0])
