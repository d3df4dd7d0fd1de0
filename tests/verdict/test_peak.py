"""Checks of an overload, and the causes they name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.company import Chance
from proofload.analysis.goodput import Ratio
from proofload.analysis.overload_recovery import Baseline, Recovery
from proofload.records import Check, Status
from proofload.verdict import peak
from proofload.verdict.causes import CAUSES
from proofload.verdict.peak_causes import Signs, cause_of_collapse, cause_of_no_recovery

ERRORS = peak.Errors(0.0001, 0.01)
HEALTHY = Baseline(50.0, 1.0, 100)
NOBODY = np.zeros(0, dtype=bool)


def bools(*parts: tuple[int, bool]) -> np.ndarray:
    return np.concatenate([np.full(n, value) for n, value in parts])


def test_goodput_must_be_kept_against_every_reference() -> None:
    good, bad = Ratio(1.0, 0.97, 1.03, 1.05), Ratio(0.5, 0.4, 0.6, 0.7)
    assert peak.goodput_check({"5×": good}, 0.9).status is Status.PASS
    assert peak.goodput_check({"5×": good, "3×": bad}, 0.9).status is Status.FAIL
    assert peak.goodput_check({"5×": good, "3×": None}, 0.9).status is Status.INCONCLUSIVE
    assert peak.goodput_check({"5×": Ratio(0.95, 0.88, 1.0, 1.1)}, 0.9).status is Status.INCONCLUSIVE
    assert peak.goodput_check({}, 0.9).status is Status.INCONCLUSIVE
    assert peak.goodput_check({"5×": Ratio(0.0, 0.0, 0.0, 0.0)}, 0.9).status is Status.FAIL


def test_the_excess_must_be_refused_in_time() -> None:
    def check(ok: np.ndarray, in_time: np.ndarray, *, sought: bool = True) -> Check:
        return peak.excess_check(ok, in_time, 0.9, ERRORS, overload_sought=sought)

    ok = bools((100, True), (100, False))
    assert check(ok, ~ok).status is Status.PASS
    assert check(ok, bools((200, False))).status is Status.FAIL
    assert check(NOBODY, NOBODY).status is Status.INCONCLUSIVE
    nearly_all, nobody_refused = bools((199, True), (1, False)), bools((200, False))
    served = check(nearly_all, nobody_refused, sought=False)
    assert served.status is Status.PASS
    assert "no excess" in served.evidence
    missed = check(nearly_all, nobody_refused)
    assert missed.status is Status.INCONCLUSIVE
    assert "not overloaded" in missed.evidence
    assert "max_rps" in missed.settle


def test_a_refusal_that_comes_late_is_none() -> None:
    slow = peak.refusal_check(np.full(200, 1500.0), 1000.0, ERRORS)
    fast = peak.refusal_check(np.full(200, 3.0), 1000.0, ERRORS)
    assert slow is not None
    assert fast is not None
    assert (slow.status, slow.cause) == (Status.FAIL, "slow-refusals")
    assert (fast.status, fast.cause, fast.observed) == (Status.PASS, "", 3.0)
    assert peak.refusal_check(np.zeros(0), 1000.0, ERRORS) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Recovery(0.5, 0.5, 7.0, told=True), Status.PASS),
        (Recovery(6.5, 6.4, 7.0, told=True), Status.FAIL),
        (Recovery(None, None, 7.0, told=True), Status.FAIL),
        (Recovery(None, 2.0, 7.0, told=True), Status.INCONCLUSIVE),
        (Recovery(None, None, 3.0, told=True), Status.INCONCLUSIVE),
        (Recovery(None, None, 7.0, told=False), Status.INCONCLUSIVE),
        (None, Status.INCONCLUSIVE),
    ],
)
def test_recovery_within_its_time(found: Recovery | None, expected: Status) -> None:
    assert peak.recovery_check(found, HEALTHY, 6.0, 5.0).status is expected


def test_there_is_no_way_back_to_a_load_that_was_not_served_before() -> None:
    found = Recovery(None, None, 7.0, told=True)
    assert peak.recovery_check(found, Baseline(50.0, 0.9, 100), 6.0, 5.0).status is Status.INCONCLUSIVE
    assert peak.recovery_check(found, None, 6.0, 5.0).status is Status.INCONCLUSIVE


def light(chance: Chance | None, held: np.ndarray) -> Status:
    found = peak.light_load_check(chance, held, margin_ms=5.0, limit=0.6, medians=(40.0, 80.0), errors=ERRORS)
    assert (found.cause == "static-batching") == (found.status is Status.FAIL)
    return found.status


def test_lone_requests_must_not_wait_for_company() -> None:
    slower, faster = Chance(0.1, 0.05, 0.2, 0.0), Chance(0.9, 0.8, 0.95, 0.7)
    assert light(slower, bools((20, False))) is Status.PASS
    assert light(faster, bools((20, False))) is Status.FAIL
    assert light(slower, bools((20, True))) is Status.FAIL
    assert light(slower, NOBODY) is Status.PASS
    assert light(None, NOBODY) is Status.INCONCLUSIVE
    assert light(slower, bools((10, False), (6, True))) is Status.INCONCLUSIVE


def test_the_liveness_page_must_not_wait_for_work() -> None:
    def status(*parts: tuple[int, bool]) -> Status:
        return peak.responsiveness_check(bools(*parts), 0.3, 20.0, ERRORS).status

    assert status((30, False)) is Status.PASS
    assert status((30, True)) is Status.FAIL
    assert status((20, False), (10, True)) is Status.INCONCLUSIVE
    assert peak.responsiveness_check(NOBODY, 0.3, 20.0, ERRORS).status is Status.INCONCLUSIVE


def test_threads_must_fit_the_cores() -> None:
    assert peak.threads_check([1.0, 2.0] * 13, 1, 2.5, ERRORS).status is Status.PASS
    crowded = peak.threads_check([16.0, 17.0] * 13, 1, 2.5, ERRORS)
    assert (crowded.status, crowded.cause) == (Status.FAIL, "oversubscribed-threads")
    assert peak.threads_check([16.0, 17.0] * 13, 16, 2.5, ERRORS).status is Status.PASS
    assert peak.threads_check([], 1, 2.5, ERRORS).status is Status.INCONCLUSIVE


SIGNS = Signs(
    refused=0.0,
    in_vain=1.0,
    never_connected=0.0,
    stalled=0.0,
    attempts_at_peak=1.0,
    attempts_after=1.0,
    busy_after_cores=0.0,
    late_recovery=False,
)


@pytest.mark.parametrize(
    ("changes", "collapse", "no_recovery"),
    [
        ({}, "unbounded-queue", "unbounded-queue"),
        ({"late_recovery": True}, "unbounded-queue", "zombie-work"),
        ({"refused": 0.4}, "zombie-work", "zombie-work"),
        ({"refused": 0.4, "in_vain": 0.1}, "overload-collapse", "overload-collapse"),
        ({"stalled": 0.9}, "full-queue-blocks", "full-queue-blocks"),
        ({"never_connected": 0.5}, "full-queue-blocks", "full-queue-blocks"),
        ({"blocked": True, "stalled": 0.9}, "blocked-event-loop", "blocked-event-loop"),
        ({"oversubscribed": True}, "oversubscribed-threads", "oversubscribed-threads"),
        ({"attempts_at_peak": 9.0, "refused": 0.9}, "retry-storm", "retry-storm"),
        ({"attempts_after": 3.0, "late_recovery": True}, "retry-storm", "retry-storm"),
        ({"busy_after_cores": 0.8, "refused": 1.0, "in_vain": 0.0}, "overload-collapse", "zombie-work"),
        ({"stalled": None, "busy_after_cores": None}, "unbounded-queue", "unbounded-queue"),
    ],
)
def test_causes_by_their_signs(changes: dict[str, object], collapse: str, no_recovery: str) -> None:
    signs = replace(SIGNS, **changes)  # type: ignore[arg-type]
    assert cause_of_collapse(signs) == collapse
    assert cause_of_no_recovery(signs) == no_recovery
    assert {collapse, no_recovery} <= set(CAUSES)


def test_the_speed_of_refusals_is_their_p95() -> None:
    found = peak.refusal_check(np.arange(200.0, 0.0, -1.0), 1000.0, ERRORS)
    assert found is not None
    assert (found.observed, found.limit) == (190.0, 1000.0)
    one = peak.refusal_check(np.array([7.0]), 1000.0, ERRORS)
    assert one is not None
    assert one.observed == 7.0


def test_what_is_reported_beside_a_share_holds_it() -> None:
    ok = bools((100, True), (300, False))
    refused = bools((100, False), (100, False), (200, True))
    found = peak.excess_check(
        ok, np.random.default_rng(1).permutation(refused) & ~ok, 0.5, ERRORS, overload_sought=True
    )
    assert found.observed is not None
    assert found.interval.low is not None
    assert found.interval.high is not None
    assert 0.0 <= found.interval.low < found.observed < found.interval.high <= 1.0
    looks = peak.responsiveness_check(bools((90, False), (10, True)), 0.3, 20.0, ERRORS)
    assert looks.observed == 0.1
    assert looks.interval.low == pytest.approx(stats.beta.ppf(0.01, 10, 91))
    assert looks.interval.high == pytest.approx(stats.beta.ppf(0.99, 11, 90))


def test_threads_are_bounded_by_student_s_t_over_ten_batches() -> None:
    seen = np.random.default_rng(2).normal(4.0, 1.0, 40)
    found = peak.threads_check(seen, 2, 9.0, ERRORS)
    means = (seen / 2).reshape(10, 4).mean(axis=1)
    reach = float(stats.t.isf(0.01, 9)) * float(means.std(ddof=1)) / np.sqrt(10)
    assert found.observed == pytest.approx(means.mean())
    assert found.interval.low == pytest.approx(means.mean() - reach)
    assert found.interval.high == pytest.approx(means.mean() + reach)
    assert "under load 4 of its threads at a time ran or waited for one of 2 cores" in found.evidence
    least = peak.threads_check([2.0] * 5, 1, 2.05, ERRORS)
    assert least.interval.high == pytest.approx(2.0 + float(stats.t.isf(0.01, 4)) * 0.02 / np.sqrt(5))


def test_held_back_requests_are_bounded_exactly() -> None:
    found = peak.light_load_check(None, bools((5, False), (15, True)), margin_ms=5.0, limit=0.6, medians=(40.0, 80.0),
                                  errors=ERRORS)  # fmt: skip
    assert (found.status, found.observed, found.limit) == (Status.FAIL, 0.75, peak.HELD_BACK)
    assert found.interval.low == pytest.approx(stats.beta.ppf(0.01, 15, 6))
    assert found.interval.high == pytest.approx(stats.beta.ppf(0.99, 16, 5))


def test_recovery_tells_when_or_how_long_it_was_watched() -> None:
    there = peak.recovery_check(Recovery(0.5, 0.5, 7.0, told=True), HEALTHY, 6.0, 5.0)
    assert (there.observed, there.limit, there.interval.low, there.interval.high) == (0.5, 6.0, 0.5, 0.5)
    never = peak.recovery_check(Recovery(None, None, 7.0, told=True), HEALTHY, 6.0, 5.0)
    assert (never.observed, never.interval.low, never.interval.high) == (None, 7.0, None)
    at_the_edge = peak.recovery_check(Recovery(6.0, 6.0, 7.0, told=True), HEALTHY, 6.0, 5.0)
    assert at_the_edge.status is Status.PASS
    late = peak.recovery_check(Recovery(6.5, 6.0, 7.0, told=True), HEALTHY, 6.0, 5.0)
    assert late.status is Status.INCONCLUSIVE


def test_a_look_is_slow_that_waited_for_work() -> None:
    assert peak.slow_look_ms(2.0, 100.0, 20.0, 0.5) == 52.0
    assert peak.slow_look_ms(2.0, 10.0, 20.0, 0.5) == 22.0


def test_nanoseconds_are_told_in_parts_of_milliseconds() -> None:
    assert peak.milliseconds(np.array([1_500_000, 250_000])).tolist() == [1.5, 0.25]
