"""What all sections share: the runs under distinct labels, and each label's look."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proofload.report.document import Look
from proofload.report.looks import looks
from proofload.report.text import printable
from proofload.report.view import RunView

INTERVAL = "99 % interval"
"""The level of every interval that analysis gives; see analysis/percentiles.py."""


@dataclass(frozen=True, slots=True)
class Page:
    runs: tuple[RunView, ...]
    looks: Mapping[str, Look]

    @property
    def several(self) -> bool:
        return len(self.runs) > 1


def page_of(runs: Sequence[RunView]) -> Page:
    """Runs of several scenarios are told apart by them: "soak · flask". Runs of the same target are numbered in the
    order given: "flask", "flask (2)"."""
    scenarios = {run.result.scenario for run in runs}
    if len(scenarios) > 1:
        runs = [dataclasses.replace(run, label=f"{printable(run.result.scenario, 40)} · {run.label}") for run in runs]
    seen: Counter[str] = Counter()
    named = []
    for run in runs:
        seen[run.label] += 1
        again = seen[run.label]
        named.append(run if again == 1 else dataclasses.replace(run, label=f"{run.label} ({again})"))
    return Page(tuple(named), looks([run.label for run in named]))
