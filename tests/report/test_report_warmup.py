"""The warm-up in the report: the sentence of the analysis as it is, its figures in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from proofload.report.formats import md
from proofload.report.view import view


def told(record: Any, warmup: Mapping[str, Any], excluded: int) -> str:
    phases = [dataclasses.replace(phase, excluded=0) for phase in record.result.phases]
    phases[-1] = dataclasses.replace(phases[-1], excluded=excluded)
    result = dataclasses.replace(record.result, warmup=warmup, phases=tuple(phases))
    text = md.create().render([view(dataclasses.replace(record, result=result))])
    section = text.partition("Is the measurement valid?")[2].partition("\n## ")[0]
    return "\n".join(line for line in section.splitlines() if not line.startswith("|"))


@pytest.mark.parametrize(
    ("warmup", "excluded", "says"),
    [
        (
            {
                "detail": "the first 2 s (200 requests) were 3 times as slow as the rest and were left out",
                "p_value": 0.005,
                "slower_by": 3.0,
                "ok_before": 0.5,
                "ok_after": 1.0,
                "excluded": 200,
            },
            200,
            (
                "flask: 200 requests were left out as warm-up: "
                "the first 2 s (200 requests) were 3 times as slow as the rest and were left out "
                "(p = 0.00500, 3.00 times as slow as the rest, 50.0 % ok in it, 100 % ok after it)."
            ),
        ),
        (
            {"detail": "the start is not worse than what follows; nothing was left out", "p_value": 0.25},
            0,
            "flask: the start is not worse than what follows; nothing was left out (p = 0.250).",
        ),
        ({"excluded": 7}, 7, "flask: 7 requests were left out as warm-up."),
        (
            {"method": "change point", "left_out_s": 1.0},
            7,
            "flask: 7 requests were left out as warm-up (method: change point, left out: 1.00 s).",
        ),
    ],
)
def test_the_warm_up_is_told_in_words(
    make_run: Callable[..., Any], warmup: Mapping[str, Any], excluded: int, says: str
) -> None:
    assert says in told(make_run("flask"), warmup, excluded)


def test_nothing_known_of_a_warm_up_is_nothing_said(make_run: Callable[..., Any]) -> None:
    assert "left out" not in told(make_run("flask"), {"excluded": 0}, 0)
