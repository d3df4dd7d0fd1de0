"""A fast wrong answer is a failure: every answer is checked, under concurrency too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson
import pytest

if TYPE_CHECKING:
    from tests.truth.conftest import Load, Witness

pytestmark = [pytest.mark.real, pytest.mark.quiet]


def test_answers_swapped_between_two_callers_in_one_of_a_thousand_are_all_found(
    witness: Callable[..., Witness], load: Load
) -> None:
    server = witness("--median-ms", 5, "--sigma", 0.6, "--swap", 1000)
    begun = load(server.url, duration_s=8, rate_rps=2000)
    run = begun.ended()
    swapped = server.testimony()["swapped"]
    assert swapped >= 4
    assert run.main["outcomes"]["wrong"] == swapped
    assert run.main["outcomes"]["ok"] == 16_000 - swapped
    assert run.check("wrong_share")["status"] == "fail"
    assert (run.code, run.result["status"]) == (1, "fail")
    examples = [
        event["detail"]
        for line in (begun.out / "events.jsonl").read_bytes().splitlines()
        if (event := orjson.loads(line))["kind"] == "example"
    ]
    assert examples
    assert all("predicted" in example["detail"] for example in examples)
    shown = (begun.out / "report.html").read_text(encoding="utf-8")
    assert examples[0]["detail"].split(",")[0] in shown
