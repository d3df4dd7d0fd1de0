"""What is said of two versions: the five words of an experiment, agreement of a shadow, harm after a switch."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.arm_difference import Shown
from proofload.analysis.before_after import Counts, Guarded
from proofload.records import Status
from proofload.verdict.ab_test import Question, at_every_look, at_the_end, estimated, first_settled
from proofload.verdict.blue_green import FEWEST_BLOCKS, first_harm, harm_at, passed
from proofload.verdict.blue_green import at_the_end as finally_seen
from proofload.verdict.experiment import rule, ruled, split_ruling, three_figures
from proofload.verdict.shadow import Side, Tolerance, agreement, compared

RNG = np.random.default_rng(3)


@pytest.mark.parametrize(
    ("low", "high", "direction", "saying", "status"),
    [
        (1.1, 2.0, "lower", "worse", Status.FAIL),
        (0.9, 2.0, "lower", "inconclusive", Status.INCONCLUSIVE),
        (-0.5, 0.9, "lower", "no difference", Status.PASS),
        (-3.0, 0.9, "lower", "not worse", Status.PASS),
        (-3.0, -0.1, "lower", "better", Status.PASS),
        (-2.0, -1.1, "higher", "worse", Status.FAIL),
        (0.1, 3.0, "higher", "better", Status.PASS),
        (-0.9, 3.0, "higher", "not worse", Status.PASS),
        (-0.9, 0.9, "same", "no difference", Status.PASS),
        (1.1, 1.2, "same", "worse", Status.FAIL),
        (-1.2, -1.1, "same", "worse", Status.FAIL),
        (-1.0, 0.5, "same", "inconclusive", Status.INCONCLUSIVE),
        (0.0, 1.0, "lower", "inconclusive", Status.INCONCLUSIVE),
        (-np.inf, 0.5, "lower", "inconclusive", Status.INCONCLUSIVE),
    ],
)
def test_bounds_become_words(low: float, high: float, direction: str, saying: str, status: Status) -> None:
    said = rule((low + high) / 2, low, high, margin=1.0, direction=direction)  # type: ignore[arg-type]  # one of three
    assert (said.saying, said.status) == (saying, status)


def test_worse_takes_the_stricter_bounds() -> None:
    usual, strict = (1.1, 2.0), (0.9, 2.2)
    assert ruled(1.5, strict, usual, margin=1.0, direction="lower").saying == "inconclusive"
    assert ruled(1.5, usual, usual, margin=1.0, direction="lower").saying == "worse"
    assert ruled(0.0, (-2.0, 2.0), (-0.5, 0.5), margin=1.0, direction="lower").saying == "no difference"


def test_a_split_is_judged_by_those_who_were_assigned() -> None:
    assert split_ruling((500, 500), 0.5, alpha=0.001)[0] is Status.PASS
    assert split_ruling((600, 400), 0.5, alpha=0.001)[0] is Status.FAIL
    assert split_ruling((950, 50), 0.05, alpha=0.001)[0] is Status.PASS
    assert split_ruling((0, 0), 0.5, alpha=0.001)[0] is Status.INCONCLUSIVE
    assert split_ruling((1, 0), 0.5, alpha=0.001)[0] is Status.INCONCLUSIVE
    assert split_ruling((6, 6), 0.5, alpha=0.001)[0] is Status.PASS


def test_margins_are_told_as_they_are_applied() -> None:
    assert three_figures(1.2345) == 1.23


def experiment(effect: float, *, stretches: int = 20) -> Shown:
    n = 2000
    user = RNG.permutation(n)
    arm = user % 2
    return Shown(RNG.normal(size=n) + effect * arm, arm, user, np.sort(RNG.integers(0, stretches, n)))


def test_a_sequence_ends_early_where_harm_is_plain() -> None:
    question = Question(0.2, "lower", 0.001, 0.01)
    look = first_settled(experiment(2.0), question)
    assert look is not None
    assert look.ruling.saying == "worse"
    assert look.stretches < 20
    assert len(list(at_every_look(experiment(0.0), question))) == 11  # from the tenth stretch on


def test_without_requests_nothing_is_settled() -> None:
    nobody = np.zeros(0, np.int64)
    empty = Shown(np.zeros(0), nobody, nobody, nobody)
    question = Question(0.2, "lower", 0.001, 0.01)
    assert at_the_end(empty, question).ruling.status is Status.INCONCLUSIVE
    assert first_settled(empty, question) is None


def test_shares_of_nothing_failing_need_enough_users_to_pass() -> None:
    question = Question(0.01, "lower", 0.001, 0.01, shares=True)
    few = Shown(np.zeros(60), np.arange(60) % 2, np.arange(60), np.arange(60) % 20)
    many = Shown(np.zeros(6000), np.arange(6000) % 2, np.arange(6000), np.arange(6000) // 300)
    assert at_the_end(few, question).ruling.status is Status.INCONCLUSIVE
    assert at_the_end(many, question).ruling.status is Status.PASS


def test_agreement_needs_the_published_numbers_of_pairs() -> None:
    for pairs, tolerated in ((459, 0.01), (4603, 0.001)):
        equal = np.zeros(pairs, np.bool_)
        assert agreement(equal, tolerated, alpha_fail=0.001, alpha_pass=0.01).status is Status.PASS
        assert agreement(equal[1:], tolerated, alpha_fail=0.001, alpha_pass=0.01).status is Status.INCONCLUSIVE
    assert agreement(np.zeros(0, np.bool_), 0.01, alpha_fail=0.001, alpha_pass=0.01).status is Status.INCONCLUSIVE


def side(latency: float, failing: float = 0.0) -> Side:
    block = np.repeat(np.arange(20), 100)
    n = len(block)
    return Side(latency * RNG.lognormal(0, 0.3, n), block, RNG.random(n) < failing, np.zeros(n, np.bool_), block)


def test_each_comparison_of_a_shadow_sees_its_own_harm() -> None:
    same = compared(side(2.0), side(2.0), Tolerance(), alpha_fail=0.001, alpha_pass=0.01)
    assert {look.ruling.status for look in (same.median, same.tail, same.failures, same.wrong)} == {Status.PASS}
    slow = compared(side(2.0), side(8.0), Tolerance(), alpha_fail=0.001, alpha_pass=0.01)
    assert slow.median.ruling.status is Status.FAIL
    failing = compared(side(2.0), side(2.0, 0.1), Tolerance(), alpha_fail=0.001, alpha_pass=0.01)
    assert failing.failures.ruling.status is Status.FAIL
    assert failing.median.ruling.status is Status.PASS


def guarded(bad: int) -> dict[str, Guarded]:
    before = Counts(np.full(10, 200), np.zeros(10, np.int64))
    after = Counts(np.full(14, 200), np.full(14, bad))
    calm = Counts(np.full(14, 200), np.zeros(14, np.int64))
    names = ("failures", "wrong-answers", "latency", "tail")
    return {name: Guarded(before, after if name == "failures" else calm, 0.005, (0.02, 0.2)) for name in names}


def test_harm_after_a_switch_is_seen_within_seconds_and_never_in_the_first_two() -> None:
    harm = first_harm(guarded(100), alpha_fail=0.001)
    assert harm is not None
    assert harm.guard == "failures"
    assert harm.blocks <= FEWEST_BLOCKS + 2
    assert harm_at(guarded(100), FEWEST_BLOCKS - 1, alpha_fail=0.001) is None


def test_a_green_without_harm_passes_at_its_end() -> None:
    rulings = finally_seen(guarded(0), alpha_fail=0.001, alpha_pass=0.01)
    assert first_harm(guarded(0), alpha_fail=0.001) is None
    assert passed(None, rulings) is Status.PASS
    assert passed(first_harm(guarded(100), alpha_fail=0.001), rulings) is Status.FAIL


@pytest.mark.parametrize("alpha_fail", [0.001, 0.05])
def test_at_the_end_the_guards_share_half_of_the_error_rate(alpha_fail: float) -> None:
    before = Counts(np.full(10, 200), np.full(10, 1))
    seen = set()
    for bad in range(1, 16):
        after = Counts(np.full(14, 200), bad + np.arange(14) % 3)
        one = Guarded(before, after, 0.005, (0.02, 0.2))
        status = finally_seen(dict.fromkeys(guarded(0), one), alpha_fail=alpha_fail, alpha_pass=0.01)["tail"].status
        difference = one.difference()
        low = difference.effect - stats.t.isf(alpha_fail / 8, difference.freedom) * difference.variance**0.5
        assert (status is Status.FAIL) == (low > 0.005)
        seen.add(status)
    assert Status.FAIL in seen
    assert len(seen) > 1


def test_a_median_may_be_slower_by_a_share_and_some_milliseconds_and_far_is_three_times_the_p99() -> None:
    usual = side(2.0)
    found = compared(usual, side(2.0), Tolerance(), alpha_fail=0.001, alpha_pass=0.01)
    assert found.median.ruling.margin == pytest.approx(0.2 * np.median(usual.latency_ms) + 1.0, rel=0.005)
    assert found.far_ms == pytest.approx(3.0 * np.quantile(usual.latency_ms, 0.99) + 1.0)
    assert (found.tail.ruling.margin, found.failures.ruling.margin) == (0.005, 0.005)
    nothing = np.zeros(0)
    none = Side(nothing, nothing.astype(np.int64), np.zeros(9, np.bool_), np.zeros(9, np.bool_), np.arange(9))
    empty = compared(none, none, Tolerance(), alpha_fail=0.001, alpha_pass=0.01)
    assert np.isinf(empty.far_ms)
    assert empty.median.ruling.margin == 1.0
    assert empty.median.ruling.status is Status.INCONCLUSIVE


def test_wrong_answers_of_a_shadow_are_its_own() -> None:
    usual, other = side(2.0), side(2.0)
    wrong = Side(other.latency_ms, other.latency_block, other.failed, RNG.random(2000) < 0.1, other.block)
    found = compared(usual, wrong, Tolerance(), alpha_fail=0.001, alpha_pass=0.01)
    assert found.wrong.ruling.status is Status.FAIL
    assert found.failures.ruling.status is Status.PASS


def test_the_bounds_at_the_end_are_student_s_and_two_sides_share_the_error_rate() -> None:
    seen = experiment(0.3)
    for direction, sides in (("lower", 1.0), ("same", 2.0)):
        question = Question(0.05, direction, 0.01, 0.05)  # type: ignore[arg-type]  # two of three
        look = at_the_end(seen, question)
        found = look.difference
        strict = stats.t.isf(0.01 / sides, found.freedom) * found.variance**0.5
        assert look.stretches == 20
        assert look.ruling.saying == "worse"
        assert look.ruling.low == pytest.approx(found.effect - strict)
        assert look.ruling.high == pytest.approx(found.effect + strict)
    calm = at_the_end(experiment(0.0), Question(0.9, "lower", 0.01, 0.05))
    usual = stats.t.isf(0.05, calm.difference.freedom) * calm.difference.variance**0.5
    assert calm.ruling.high == pytest.approx(calm.difference.effect + usual)


def test_each_look_is_at_whole_stretches_in_order_of_time() -> None:
    seen = experiment(0.0)
    mixed = RNG.permutation(len(seen.values))
    shuffled = Shown(seen.values[mixed], seen.arm[mixed], seen.user[mixed], seen.stretch[mixed])
    question = Question(0.2, "lower", 0.001, 0.01)
    for look in at_every_look(shuffled, question):
        part = seen.stretch < look.stretches
        alone = estimated(Shown(seen.values[part], seen.arm[part], seen.user[part], seen.stretch[part]), question)
        assert look.difference.effect == pytest.approx(alone.effect)
        assert look.difference.variance == pytest.approx(alone.variance)


def test_of_rare_events_a_pass_reckons_with_what_the_margin_would_look_like_and_of_medians_it_does_not() -> None:
    few = Counts(np.full(8, 17), np.zeros(8, np.int64))
    for rare, status in ((True, Status.INCONCLUSIVE), (False, Status.PASS)):
        one = Guarded(few, few, 0.05, (0.2,), rare=rare)
        assert finally_seen({"tail": one}, alpha_fail=0.001, alpha_pass=0.01)["tail"].status is status
