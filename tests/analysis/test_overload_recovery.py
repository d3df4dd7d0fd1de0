"""When a target was itself again."""

from __future__ import annotations

import numpy as np

from proofload.analysis.overload_recovery import Baseline, baseline_of, recovery
from proofload.clock import NS_PER_S

BASE = Baseline(p99_ms=50.0, ok_share=1.0, n=100)


def seen(
    took_ms: np.ndarray, ok: np.ndarray, rate: float = 10.0, seconds: float = 12.0
) -> tuple[float | None, float | None]:
    due = (np.arange(len(took_ms)) / rate * NS_PER_S).astype(np.int64)
    found = recovery(
        due, (took_ms * 1e6).astype(np.int64), ok, BASE, begin_ns=0, end_ns=round(seconds * NS_PER_S), settled_s=5.0
    )
    assert found.watched_s == seconds - 5.0
    return found.after_s, found.nearly_s


def test_a_target_that_was_never_harmed_is_itself_at_once() -> None:
    assert seen(np.full(120, 40.0), np.ones(120, dtype=bool)) == (0.0, 0.0)


def test_it_is_itself_again_after_its_last_failure() -> None:
    ok = np.arange(120) >= 30
    after, nearly = seen(np.full(120, 40.0), ok)
    assert after is not None
    assert nearly is not None
    assert 2.4 < nearly <= after <= 3.0


def test_slow_answers_are_no_recovery() -> None:
    took = np.where(np.arange(120) < 50, 200.0, 40.0)
    after, _ = seen(took, np.ones(120, dtype=bool))
    assert after is not None
    assert 4.5 < after <= 5.0
    assert seen(np.full(120, 200.0), np.ones(120, dtype=bool)) == (None, None)


def test_a_stall_now_and_then_delays_recovery_but_not_by_the_laxer_rule() -> None:
    took = np.full(120, 40.0)
    took[[0, 1, 2, 3, 45, 46, 47, 48, 90, 91, 92, 93]] = 300.0
    after, nearly = seen(took, np.ones(120, dtype=bool))
    assert nearly == 0.0
    assert after is None


def test_too_few_requests_tell_nothing() -> None:
    due = (np.arange(5) * 2 * NS_PER_S).astype(np.int64)
    took = np.full(5, 40_000_000)
    found = recovery(due, took, np.ones(5, dtype=bool), BASE, begin_ns=0, end_ns=12 * NS_PER_S, settled_s=5.0)
    assert not found.told
    assert found.after_s is None


def test_the_baseline_is_of_what_went_well() -> None:
    took = np.array([10, 20, 30, 900]) * 1_000_000
    base = baseline_of(took, np.array([True, True, True, False]))
    assert base is not None
    assert (base.p99_ms, base.ok_share, base.healthy) == (30.0, 0.75, False)
    assert base.limit_ms == 46.0
    assert baseline_of(took, np.zeros(4, dtype=bool)) is None


def test_recovery_counts_from_the_return_to_base_load() -> None:
    begin = 100 * NS_PER_S
    due = begin + (np.arange(120) / 10 * NS_PER_S).astype(np.int64)
    ok = np.arange(120) >= 30
    found = recovery(
        due, np.full(120, 40_000_000), ok, BASE, begin_ns=begin, end_ns=begin + 12 * NS_PER_S, settled_s=5.0
    )
    assert found.after_s is not None
    assert 2.4 < found.after_s <= 3.0
    assert found.watched_s == 7.0
