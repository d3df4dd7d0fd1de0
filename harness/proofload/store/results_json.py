"""What `run --json` and `report --format json` write, the same for both: the results of one command, for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from proofload.records import Result
from proofload.store.result_json import result_to_json

RESULTS_SCHEMA = "proofload.results/1"


def results_text(results: Sequence[Result]) -> str:
    """One result as it is; several as {"schema": "proofload.results/1", "results": [result, …]}."""
    documents = [result_to_json(result) for result in results]
    whole = documents[0] if len(documents) == 1 else {"schema": RESULTS_SCHEMA, "results": documents}
    return json.dumps(whole, indent=2, allow_nan=False, default=str)
