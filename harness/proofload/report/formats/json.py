"""result.json for programs: one object for one run, a list for several."""

from __future__ import annotations

import json
from collections.abc import Sequence

from proofload.errors import InputError
from proofload.report.view import RunView
from proofload.store.result_json import result_to_json


class Json:
    suffix = ".json"

    def render(self, runs: Sequence[RunView]) -> str:
        if not runs:
            raise InputError("a report needs at least one run", remedy="name a run folder")
        documents = [result_to_json(run.result) for run in runs]
        return json.dumps(documents[0] if len(documents) == 1 else documents, indent=2, allow_nan=False) + "\n"


def create() -> Json:
    return Json()
