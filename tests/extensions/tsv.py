"""A report format in one file: a line per run, for a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.report.formats import Format
from proofload.report.view import RunView


class Tsv:
    suffix = ".tsv"

    def render(self, runs: Sequence[RunView]) -> str:
        rows = ["target\tstatus\tplanned"]
        for run in runs:
            planned = sum(phase.planned for phase in run.result.phases)
            rows.append(f"{run.label}\t{run.result.status}\t{planned}")
        return "\n".join(rows) + "\n"


def create() -> Format:
    return Tsv()
