"""Decisions about restarts, against counts whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.openings import Requests, warm_level, windows
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import Status
from proofload.verdict.causes import CAUSES
from proofload.verdict.cold import Demand, Harm, decide, exceeds, joined_well
from proofload.verdict.cold_causes import MIB, SlowOpening, Taken, why_slow
from proofload.verdict.cold_openings import cannot_compare, failing_harm, opened, slow_harm

QUICK = Demand(quantile=0.5, tolerated=0.05, alpha=0.0002, confidence=0.95)
FULL = Demand(quantile=0.9, tolerated=0.05, alpha=0.0002, confidence=0.95)


@pytest.mark.parametrize(
    ("hits", "n", "status"),
    [
        (0, 4, Status.INCONCLUSIVE),
        (0, 5, Status.PASS),
        (1, 7, Status.INCONCLUSIVE),
        (1, 8, Status.INCONCLUSIVE),
        (1, 92, Status.INCONCLUSIVE),
        (1, 93, Status.PASS),
        (3, 8, Status.INCONCLUSIVE),
        (5, 8, Status.FAIL),
        (2, 2, Status.INCONCLUSIVE),
        (3, 3, Status.FAIL),
        (0, 0, Status.INCONCLUSIVE),
    ],
)
def test_so_many_of_so_many_restarts(hits: int, n: int, status: Status) -> None:
    assert decide(Harm(hits, n), QUICK).status is status


def test_twenty_nine_restarts_without_harm_bound_the_ninetieth_percentile() -> None:
    assert decide(Harm(0, 28), FULL).status is Status.INCONCLUSIVE
    assert decide(Harm(0, 29), FULL).status is Status.PASS


def test_what_the_warm_instance_does_as_often_is_no_finding() -> None:
    assert decide(Harm(8, 8, 0, 16), QUICK).status is Status.FAIL
    assert decide(Harm(8, 8, 8, 16), QUICK).status is Status.INCONCLUSIVE
    assert decide(Harm(8, 8, 0, 0), QUICK).status is Status.INCONCLUSIVE


def test_harm_passes_only_where_the_warm_instance_shows_it_as_often() -> None:
    assert decide(Harm(1, 8, 2, 16), QUICK).status is Status.PASS
    assert decide(Harm(1, 8, 1, 16), QUICK).status is Status.INCONCLUSIVE
    assert decide(Harm(1, 8, 0, 16), QUICK).status is Status.INCONCLUSIVE


def test_an_open_question_says_what_would_settle_it() -> None:
    assert "5 restarts (now 4" in decide(Harm(0, 4), QUICK).settle
    assert "93 restarts of which no more than 1" in decide(Harm(1, 7), QUICK).settle


def test_bounds_hold_the_observed_share() -> None:
    for hits, n in ((0, 8), (3, 8), (8, 8)):
        interval = decide(Harm(hits, n), QUICK).interval
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low <= hits / n <= interval.high


def test_a_joining_is_judged_by_requests_and_by_how_they_fail_together() -> None:
    sound = np.zeros(800, np.bool_)
    burst = sound.copy()
    burst[100:130] = True
    spread = np.arange(800) % 10 == 0
    assert joined_well(sound, 0.99, alpha_pass=0.01, alpha_fail=0.0002).status is Status.PASS
    assert joined_well(burst, 0.99, alpha_pass=0.01, alpha_fail=0.0002).status is Status.INCONCLUSIVE
    assert joined_well(spread, 0.99, alpha_pass=0.01, alpha_fail=0.0002).status is Status.FAIL


def stretch(latency_ms: list[float], bad: tuple[int, ...] = ()) -> Requests:
    due = (np.arange(len(latency_ms)) * 10 * NS_PER_MS).astype(np.int64)
    failed = np.isin(np.arange(len(latency_ms)), bad)
    latency = np.array(latency_ms)
    return Requests(due, due + (latency * NS_PER_MS).astype(np.int64), np.where(failed, np.nan, latency), failed)


WARM = warm_level(windows(stretch([2.0] * 800), NS_PER_S // 2))


def test_refusals_before_the_first_answer_are_false_readiness_and_what_follows_them_is_judged_for_speed() -> None:
    assert WARM is not None
    seen = opened(stretch([2.0] * 100, bad=tuple(range(20))), NS_PER_S // 2, WARM, 100.0)
    assert (seen.failing, seen.slow) == (True, False)
    seen = opened(stretch([2.0] * 20 + [500.0] * 20 + [2.0] * 60, bad=tuple(range(20))), NS_PER_S // 2, WARM, 100.0)
    assert (seen.failing, seen.slow) == (True, True)


def test_refusals_that_a_slow_first_answer_causes_are_slowness() -> None:
    assert WARM is not None
    seen = opened(stretch([600.0] * 30 + [2.0] * 70, bad=tuple(range(20, 30))), NS_PER_S // 2, WARM, 100.0)
    assert (seen.failing, seen.slow) == (False, True)


def test_no_answer_at_all_says_nothing_of_speed() -> None:
    assert WARM is not None
    seen = opened(stretch([2.0] * 100, bad=tuple(range(100))), NS_PER_S // 2, WARM, 100.0)
    assert (seen.failing, seen.slow) == (True, None)
    assert slow_harm([seen], WARM, 100.0).n == 0
    assert failing_harm([seen], WARM) == Harm(1, 1, 0, len(WARM.windows))
    assert failing_harm([seen], None).warm_n == 0


LOADED = Taken(memory_bytes=40 * MIB, before_bytes=60 * MIB, read_bytes=None)
READ = Taken(memory_bytes=None, before_bytes=None, read_bytes=3 * MIB)
CALM = Taken(memory_bytes=MIB // 10, before_bytes=60 * MIB, read_bytes=MIB // 8)


@pytest.mark.parametrize(
    ("opening", "rested", "cause"),
    [
        (SlowOpening(one_stall=True, taken=(LOADED,)), True, "lazy-load"),
        (SlowOpening(one_stall=True, taken=(READ,)), None, "lazy-load"),
        (SlowOpening(one_stall=True, taken=(CALM, CALM, CALM)), True, "lazy-load"),
        (SlowOpening(one_stall=True, taken=(CALM,)), True, "no-warm-up"),
        (SlowOpening(one_stall=False, taken=(CALM, CALM)), True, "no-warm-up"),
        (SlowOpening(one_stall=True, taken=()), True, "no-warm-up"),
        (SlowOpening(one_stall=True, taken=(LOADED,)), False, "false-ready"),
    ],
)
def test_slowness_is_put_down_to_what_a_stranger_can_see(opening: SlowOpening, rested: bool | None, cause: str) -> None:
    found = why_slow([opening] * 8, rested)
    assert found.cause == cause
    assert found.cause in CAUSES
    assert found.told


def test_a_warm_stretch_that_stalls_or_is_slower_than_the_openings_is_no_measure() -> None:
    assert WARM is not None
    calm = opened(stretch([2.0] * 100), NS_PER_S // 2, WARM, 100.0)
    assert cannot_compare([calm] * 8, WARM, 100.0) == ""
    stalling = warm_level(windows(stretch(([2.0] * 45 + [900.0] * 5) * 16), NS_PER_S // 2))
    slower = warm_level(windows(stretch([300.0] * 800), NS_PER_S // 2))
    assert stalling is not None
    assert slower is not None
    assert "900 ms" in cannot_compare([calm] * 8, stalling, 100.0)
    assert "slower" in cannot_compare([calm] * 8, slower, 100.0)


@pytest.mark.parametrize("hits", range(1, 9))
@pytest.mark.parametrize(("warm_hits", "warm_n"), [(0, 12), (1, 13), (3, 20), (8, 9)])
def test_more_than_among_warm_windows_is_fisher_s_exact_test(hits: int, warm_hits: int, warm_n: int) -> None:
    demand = Demand(quantile=0.5, tolerated=0.05, alpha=0.01, confidence=0.95)
    table = np.array([[hits, 8 - hits], [warm_hits, warm_n - warm_hits]])
    more = float(stats.fisher_exact(table, alternative="greater").pvalue) <= 0.01
    shown = float(stats.binom.sf(hits - 1, 8, 0.05)) <= 0.01
    assert exceeds(Harm(hits, 8, warm_hits, warm_n), demand) is (more and shown)


def test_what_was_loaded_is_told_in_mebibytes_and_by_how_many() -> None:
    one = SlowOpening(one_stall=True, taken=(LOADED, CALM))
    assert "the process loaded 40 MiB after" in why_slow([one] * 3, None).told
    two = SlowOpening(one_stall=True, taken=(LOADED, LOADED, CALM))
    assert "2 of its processes loaded 40 MiB after" in why_slow([two] * 3, None).told
    assert "in a server of 3 processes" in why_slow([SlowOpening(one_stall=True, taken=(CALM,) * 3)] * 3, None).told
    few = [SlowOpening(one_stall=False, taken=(LOADED,))] * 2 + [SlowOpening(one_stall=False, taken=(CALM,))] * 2
    assert why_slow(few, None).cause == "no-warm-up"  # half is not most
    assert why_slow([*few, few[0]], None).cause == "lazy-load"


@pytest.mark.parametrize(
    ("memory", "before", "read", "loaded"),
    [(4 * MIB, 80 * MIB, None, True), (4 * MIB, 81 * MIB, None, False), (4 * MIB - 1, MIB, None, False),
     (None, None, MIB // 2, True), (None, None, MIB // 2 - 1, False), (9 * MIB, None, None, False)],
)  # fmt: skip
def test_a_process_has_loaded_by_memory_or_by_reading(
    memory: int | None, before: int | None, read: int | None, loaded: bool
) -> None:
    assert Taken(memory, before, read).loaded is loaded
