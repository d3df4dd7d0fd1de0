"""result.json for programs: one run as it is, several under one schema."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.errors import InputError
from proofload.report.formats import Format
from proofload.report.view import RunView
from proofload.store.results_json import results_text


class Json:
    suffix = ".json"

    def render(self, runs: Sequence[RunView]) -> str:
        if not runs:
            raise InputError("a report needs at least one run", remedy="name a run folder")
        return results_text([run.result for run in runs]) + "\n"


def create() -> Format:
    return Json()
