"""SLO checks: three values, the right ones, with evidence a person can read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.signal import lfilter

from proofload.analysis.summary import summarise
from proofload.records import SAMPLE_DTYPE, Check, Outcome, Phase, Samples, Status
from proofload.verdict.slo import slo_checks

MS = 1_000_000
S = 1_000_000_000


def judge(latency_ms: Any, outcome: Any = Outcome.OK, *, alpha_fail: float = 0.001, **slo: float) -> dict[str, Check]:
    n = len(latency_ms)
    table: NDArray[Any] = np.zeros(n, SAMPLE_DTYPE)
    table["seq"] = np.arange(n)
    table["intended_ns"] = S + np.arange(n, dtype=np.int64) * MS
    table["dispatched_ns"] = table["intended_ns"] + 20_000
    table["sent_ns"] = table["dispatched_ns"] + 20_000
    table["done_ns"] = table["intended_ns"] + (np.asarray(latency_ms) * MS).astype(np.int64)
    table["outcome"] = outcome
    samples = Samples(table)
    phase = Phase(0, "load", "constant", 1000.0, n / 1000.0, n, S)
    checks = slo_checks(summarise(phase, samples), samples, slo, alpha_fail=alpha_fail)
    return {check.name: check for check in checks}


def lognormal(n: int, seed: int = 1) -> NDArray[np.float64]:
    """Median 10 ms, p99 49 ms (σ = 0.683)."""
    return np.random.default_rng(seed).lognormal(math.log(10), 0.683, n)


def test_a_healthy_run_passes_every_limit() -> None:
    checks = judge(lognormal(10_000), p50_ms=20, p99_ms=100, p99_9_ms=1000, ok_share=0.999, deadline_ms=5000)
    assert {name: check.status for name, check in checks.items()} == dict.fromkeys(
        ["p50", "p99", "p99_9", "ok_share", "wrong_share"], Status.PASS
    )
    assert checks["p99"].limit == 100
    assert checks["p99"].observed == pytest.approx(49, rel=0.1)
    assert "of 10,000 answers" in checks["p99"].evidence


def test_a_limit_that_is_broken_fails_and_one_too_close_to_call_is_inconclusive() -> None:
    latency = lognormal(10_000)
    assert judge(latency, p99_ms=30)["p99"].status is Status.FAIL
    close = judge(latency, p99_ms=49)["p99"]
    assert close.status is Status.INCONCLUSIVE
    assert close.settle


def test_too_few_answers_never_pass_and_say_how_many_would_do() -> None:
    few = judge(lognormal(200), p99_ms=1000, ok_share=0.999)
    assert few["p99"].status is Status.INCONCLUSIVE
    assert "answers in all (now 200)" in few["p99"].settle
    assert few["ok_share"].status is Status.INCONCLUSIVE
    assert "4,603" in few["ok_share"].settle


def test_no_answer_at_all_is_inconclusive_for_latency_and_a_failed_ok_share() -> None:
    checks = judge(np.full(1000, 1.0), Outcome.ERROR, p99_ms=50, ok_share=0.999)
    assert checks["p99"].status is Status.INCONCLUSIVE
    assert checks["p99"].observed is None
    assert checks["ok_share"].status is Status.FAIL
    assert "1,000 error" in checks["ok_share"].evidence


def test_nothing_sent_settles_nothing() -> None:
    checks = judge(np.zeros(0), p99_ms=50, ok_share=0.999)
    assert {check.status for check in checks.values()} == {Status.INCONCLUSIVE}


def test_timeouts_are_over_every_limit() -> None:
    outcome = np.full(5000, Outcome.OK, dtype=np.uint8)
    outcome[np.random.default_rng(2).random(5000) < 0.05] = Outcome.TIMEOUT
    latency = np.where(outcome == Outcome.TIMEOUT, 2000.0, 10.0)
    for limit_ms in (3000, 1000):
        assert judge(latency, outcome, p99_ms=limit_ms)["p99"].status is Status.FAIL


def test_one_wrong_answer_is_proof() -> None:
    outcome = np.full(50_000, Outcome.OK, dtype=np.uint8)
    outcome[[20_000, 20_001]] = Outcome.WRONG
    checks = judge(lognormal(50_000), outcome, ok_share=0.999)
    assert checks["wrong_share"].status is Status.FAIL
    assert "differ from the expected one; none may" in checks["wrong_share"].evidence
    assert checks["ok_share"].status is Status.PASS
    assert judge(lognormal(50_000), outcome, wrong_share=0.001)["wrong_share"].status is Status.PASS


def test_answers_swapped_in_one_of_a_thousand_are_caught() -> None:
    outcome = np.full(20_000, Outcome.OK, dtype=np.uint8)
    outcome[::1000] = Outcome.WRONG
    assert judge(lognormal(20_000), outcome, ok_share=0.999)["wrong_share"].status is Status.FAIL


def test_an_unknown_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="p98_ms"):
        judge(lognormal(10), p98_ms=1)


def test_errors_in_one_burst_count_less_than_errors_all_over() -> None:
    scattered = np.full(20_000, Outcome.OK, dtype=np.uint8)
    scattered[np.random.default_rng(3).choice(20_000, 60, replace=False)] = Outcome.ERROR
    burst = np.full(20_000, Outcome.OK, dtype=np.uint8)
    burst[9000:9060] = Outcome.ERROR
    assert judge(lognormal(20_000), scattered, ok_share=0.999)["ok_share"].status is Status.FAIL
    assert judge(lognormal(20_000), burst, ok_share=0.999)["ok_share"].status is Status.INCONCLUSIVE


def test_at_the_limit_false_verdicts_are_as_rare_as_stated() -> None:
    limit = 10 * math.exp(0.683 * float(stats.norm.ppf(0.99)))
    repeats = 400
    seen = [judge(lognormal(4000, seed), p99_ms=limit)["p99"].status for seed in range(repeats)]
    assert seen.count(Status.FAIL) <= stats.binom.isf(0.001, repeats, 0.001)
    assert seen.count(Status.PASS) <= stats.binom.isf(0.001, repeats, 0.01)


def wobbling(n: int, seed: int, *, phi: float = 0.997) -> NDArray[np.float64]:
    """Latencies in ms whose scale wanders, as a shared machine's does: lognormal, 0.3 ms, the wandering an AR(1)."""
    rng = np.random.default_rng(seed)
    wander = lfilter([math.sqrt(1.0 - phi**2)], [1.0, -phi], rng.normal(size=n + 20_000))[20_000:]
    slow: NDArray[np.float64] = 0.3 * np.exp(0.5 * wander + 0.3 * rng.normal(size=n))
    return slow


def test_latencies_that_wobble_far_below_the_limit_pass() -> None:
    """What takes longest, here a collection of 3 ms now and then, does not wobble with the rest."""
    statuses = []
    for seed in range(20):
        rng = np.random.default_rng(1000 + seed)
        latency = wobbling(11_000, seed, phi=0.999) + 3.0 * rng.exponential(size=11_000) * (rng.random(11_000) < 0.1)
        statuses.append(judge(latency, p95_ms=500)["p95"].status)
    assert statuses == [Status.PASS] * 20


def test_at_the_limit_wobbling_latencies_are_passed_as_rarely_as_stated() -> None:
    limit = 0.3 * math.exp(math.hypot(0.5, 0.3) * float(stats.norm.ppf(0.95)))
    repeats = 400
    seen = [judge(wobbling(11_000, seed), p95_ms=limit)["p95"].status for seed in range(repeats)]
    assert seen.count(Status.PASS) <= stats.binom.isf(0.001, repeats, 0.01)


def test_checks_share_the_error_rate_of_a_fail() -> None:
    outcome = np.full(2000, Outcome.OK, dtype=np.uint8)
    outcome[::77] = Outcome.ERROR
    alone = judge(lognormal(2000), outcome, alpha_fail=0.001, ok_share=0.995)["ok_share"]
    among = judge(lognormal(2000), outcome, alpha_fail=0.001, ok_share=0.995, p50_ms=90, p99_ms=900)["ok_share"]
    assert alone.interval.high is not None
    assert among.interval.high is not None
    assert among.interval.high > alone.interval.high


def test_what_is_reported_beside_a_share_are_its_exact_bounds() -> None:
    fine = judge(lognormal(2000), ok_share=0.9)
    assert fine["ok_share"].observed == 1.0
    assert fine["ok_share"].interval.high == 1.0
    assert fine["ok_share"].interval.low == pytest.approx(0.01 ** (1 / 2000))
    assert (fine["wrong_share"].observed, fine["wrong_share"].interval.low) == (0.0, 0.0)
    assert fine["wrong_share"].interval.high == pytest.approx(1 - 0.01 ** (1 / 2000))
    outcome = np.full(2000, Outcome.OK, dtype=np.uint8)
    outcome[np.random.default_rng(4).random(2000) < 0.1] = Outcome.ERROR
    some = judge(lognormal(2000), outcome, ok_share=0.5)["ok_share"]
    assert some.interval.low is not None
    assert some.interval.high is not None
    assert some.interval.low < some.observed < some.interval.high  # type: ignore[operator]
    assert some.interval.high - some.interval.low < 0.1
    assert "(200 error)".replace("200", str(int((outcome != Outcome.OK).sum()))) in some.evidence


def test_what_was_never_sent_or_failed_is_no_answer_that_could_be_wrong() -> None:
    outcome = np.repeat([Outcome.OK, Outcome.WRONG, Outcome.LATE, Outcome.UNSENT, Outcome.ERROR, Outcome.TIMEOUT], 10)
    checks = judge(np.full(60, 1.0), outcome.astype(np.uint8), ok_share=0.5)
    assert "10 of 30 answers (33.3 %) differ" in checks["wrong_share"].evidence
    assert "40 of 50 requests (80 %) did not end ok (10 wrong, 10 late, 10 error, 10 timeout)" in (
        checks["ok_share"].evidence
    )
