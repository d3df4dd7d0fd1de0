"""From counts to verdicts: the rows that are needed, one event seen often, a part of the rows, drift."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.drift import Drift
from proofload.analysis.parity import Stratum
from proofload.records import Status
from proofload.verdict.skew import rows_needed, rule, rule_drift, rule_exactly, rule_feature
from proofload.verdict.skew_checks import check

RATES = {"alpha_fail": 0.001, "alpha_pass": 0.05}


@pytest.mark.parametrize(("limit", "rows"), [(0.01, 299), (0.001, 2995)])
def test_so_many_rows_without_a_mismatch_pass_and_one_less_does_not(limit: float, rows: int) -> None:
    assert rows_needed(limit, 0.05) == rows
    assert rule(0, rows, limit=limit, **RATES).status is Status.PASS
    short = rule(0, rows - 1, limit=limit, **RATES)
    assert short.status is Status.INCONCLUSIVE
    assert short.needs == rows
    assert f"{rows:,} rows" in check("parity", short, "").settle


def test_no_rows_are_no_pass() -> None:
    ruling = rule(0, 0, limit=0.01, **RATES)
    assert ruling.status is Status.INCONCLUSIVE
    assert ruling.share is None
    assert (ruling.interval.low, ruling.interval.high, ruling.needs) == (None, None, 299)


def test_where_none_may_be_one_is_proof() -> None:
    assert rule(1, 10_000, limit=0.0, **RATES).status is Status.FAIL
    assert rule(0, 1, limit=0.0, **RATES).status is Status.PASS


def test_a_failed_check_names_its_cause_and_an_open_one_does_not() -> None:
    assert check("parity", rule(50, 100, limit=0.01, **RATES), "", cause="unit").cause == "unit"
    assert not check("parity", rule(1, 100, limit=0.01, **RATES), "", cause="unit").cause


def test_one_event_seen_a_hundred_times_is_one_event() -> None:
    unit = np.repeat(np.arange(400), 100)
    bad = unit == 3
    parts = [Stratum("all rows", np.ones(len(unit), np.bool_))]
    ruling = rule_feature(bad, unit, parts, limit=0.01, **RATES)
    assert (ruling.bad, ruling.n) == (1.0, 400)
    assert ruling.status is not Status.FAIL


def test_a_few_missing_rows_that_are_all_wrong_fail_though_they_are_few_of_all() -> None:
    null = np.zeros(5000, np.bool_)
    null[:20] = True
    parts = [Stratum("all rows", np.ones(5000, np.bool_)), Stratum("rows missing in training", null)]
    ruling = rule_feature(null, np.arange(5000), parts, limit=0.01, **RATES)
    assert ruling.status is Status.FAIL
    assert ruling.where == "rows missing in training"
    assert ruling.share == 1.0


def drift(effect: float, rows: float = 2000.0) -> Drift:
    error = 0.5 / np.sqrt(rows / 2)
    return Drift(effect, "KS", 0.0, float(error), 0.0, (rows, rows), 0.0, 0.0, 0.0, None, 0.0)


@pytest.mark.parametrize(
    ("found", "significant", "status"),
    [
        (drift(0.3), True, Status.FAIL),
        (drift(0.3), False, Status.INCONCLUSIVE),
        (drift(0.12), True, Status.INCONCLUSIVE),
        (drift(0.02), False, Status.PASS),
        (drift(0.9, rows=40), True, Status.INCONCLUSIVE),
        (drift(0.0, rows=40), False, Status.INCONCLUSIVE),
    ],
)
def test_drift_is_judged_by_effect_and_significance_and_never_by_a_handful(
    found: Drift, significant: bool, status: Status
) -> None:
    assert rule_drift(found, significant=significant, limit=0.1, **RATES)[0] is status


@pytest.mark.parametrize(("bad", "status"), [(0, Status.PASS), (1, Status.PASS), (2, Status.FAIL), (100, Status.FAIL)])
def test_what_was_counted_in_full_is_what_it_is(bad: int, status: Status) -> None:
    ruling = rule_exactly(bad, 100, limit=0.01)
    assert ruling.status is status
    assert (ruling.share, ruling.interval.low, ruling.interval.high) == (bad / 100,) * 3
    assert rule_exactly(0, 0, limit=0.01).status is Status.INCONCLUSIVE


@pytest.mark.parametrize(("bad", "n"), [(1, 100), (3, 400), (1, 1)])
def test_the_rows_asked_for_would_settle_it_and_hardly_fewer_would(bad: int, n: int) -> None:
    needs = rule(bad, n, limit=0.01, **RATES).needs
    assert needs is not None
    assert rule(bad, needs, limit=0.01, **RATES).status is Status.PASS
    assert rule(bad, round(needs / 1.3), limit=0.01, **RATES).status is not Status.PASS


def test_what_a_thousand_times_the_rows_would_not_settle_is_hopeless() -> None:
    assert rule(1, 10, limit=1e-4, **RATES).needs is None
    assert rule(1, 100, limit=1e-4, **RATES).needs is not None


def test_bounds_of_a_share_are_exact_and_those_of_drift_allow_for_chance() -> None:
    interval = rule(3, 50, limit=0.01, **RATES).interval
    assert interval.low == pytest.approx(stats.beta.ppf(0.001, 3, 48))
    assert interval.high == pytest.approx(stats.beta.ppf(0.95, 4, 47))
    found = Drift(0.3, "total variation", 0.02, 0.01, 0.0, (2000.0, 2000.0), 0.0, 0.0, 0.0, None, 0.0)
    interval = rule_drift(found, significant=True, limit=0.1, **RATES)[1]
    assert interval.low == pytest.approx(0.3 - 0.02 - float(stats.norm.isf(0.001)) * 0.01)
    assert interval.high == pytest.approx(0.3 + float(stats.norm.isf(0.05)) * 0.01)


def test_the_part_with_the_most_bad_rows_is_named_and_the_parts_share_the_error_rate() -> None:
    rows = np.arange(3000)
    parts = [Stratum("all rows", rows >= 0), Stratum("few", rows < 5), Stratum("more", (rows >= 5) & (rows < 15))]
    ruling = rule_feature(rows < 15, rows, parts, limit=0.05, **RATES)
    assert (ruling.status, ruling.where, ruling.bad) == (Status.FAIL, "more", 10.0)
    two = [parts[0], Stratum("pair", rows < 2)]
    alone = rule(2, 2, limit=0.03, alpha_fail=0.001, alpha_pass=0.05)
    assert alone.status is Status.FAIL  # at 0.03² < 0.001, not at half of it
    assert rule_feature(rows < 2, rows, two, limit=0.03, **RATES).status is Status.PASS
