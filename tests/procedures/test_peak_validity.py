"""May an overload be believed? By lags over more than one step, and by what they are a part of."""

from __future__ import annotations

from typing import Any

import numpy as np

from proofload.procedures import Circumstances
from proofload.procedures._peak_10x.validity import peak_validity
from proofload.records import SAMPLE_DTYPE, Outcome, Phase, Samples

MS = 1_000_000


def step(index: int, lag_ms: float, took_ms: float = 40.0, n: int = 40) -> tuple[Phase, Samples]:
    rows = np.zeros(n, dtype=SAMPLE_DTYPE)
    rows["seq"] = np.arange(n)
    rows["phase"] = index
    rows["intended_ns"] = (np.arange(n) + 1 + index * n) * 100 * MS
    rows["dispatched_ns"] = rows["sent_ns"] = rows["intended_ns"] + round(lag_ms * MS)
    rows["done_ns"] = rows["sent_ns"] + round(took_ms * MS)
    rows["outcome"] = Outcome.OK
    phase = Phase(index, f"step {index}", "constant", 10.0, 4.0, n, int(rows["intended_ns"][0]))
    return phase, Samples(rows)


def bad(light_ms: float, hard_ms: float, **stats: Any) -> set[str]:
    steps = [(*step(0, light_ms), False), (*step(1, hard_ms), True)]
    seen = [{"t_ns": step(0, 0)[1].table["intended_ns"][9], "worker": 0, "cpu_share": 0.2, **stats}]
    around = Circumstances({}, seen, answers_checked=True, shared_cores=(0,))
    return {item.code for item in peak_validity(steps, around, deadline_ms=1000.0)[0] if not item.ok}


def test_a_client_on_time_is_believed() -> None:
    assert bad(0.1, 0.1) == set()


def test_up_to_the_base_load_lag_is_measured_against_latency() -> None:
    assert {"send-lag", "shared-core"} <= bad(9.0, 0.1)
    assert bad(2.0, 0.1) == set()


def test_beyond_it_lag_is_measured_against_the_deadline() -> None:
    assert bad(0.1, 40.0) == set()
    assert "send-lag" in bad(0.1, 200.0)


def test_a_starved_client_that_is_on_time_all_the_same_is_believed_up_to_a_point() -> None:
    assert bad(1.0, 1.0, runqueue_share=0.15) == set()
    assert "cpu-starved" in bad(1.0, 1.0, runqueue_share=0.4)


def test_no_steps_are_no_data() -> None:
    around = Circumstances({}, [], answers_checked=True)
    [item] = peak_validity([], around, deadline_ms=1000.0)[0]
    assert (item.code, item.ok) == ("no-data", False)


def test_a_step_in_which_no_request_was_due_spoils_nothing() -> None:
    around = Circumstances({}, [], answers_checked=True)
    empty = (Phase(2, "3×", "poisson", 0.4, 2.0, 0, 1), Samples(np.zeros(0, dtype=SAMPLE_DTYPE)), True)
    items, _ = peak_validity([(*step(0, 0.1), False), empty], around, deadline_ms=1000.0)
    assert [item.code for item in items if not item.ok] == []
    assert [item.code for item in peak_validity([empty], around, deadline_ms=1000.0)[0]] == ["no-data"]
