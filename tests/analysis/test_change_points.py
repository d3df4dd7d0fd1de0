"""Changes between nights: the parts against their definitions, the replay against histories with known changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from proofload.analysis.change_points import (
    CLIP,
    FEWEST,
    FLOOR,
    HORIZON,
    SIDE,
    Change,
    Course,
    clipped,
    e_divisive,
    outlooks,
    sides,
)

Column = NDArray[np.float64]


def course(values: Column, *, high_is_worse: bool = True, first: int = 0) -> Course:
    return Course(np.arange(first, first + len(values)), values, high_is_worse)


def noisy(seed: int, nights: int = 60, noise: float = 0.03, level: float = 80.0) -> Column:
    return np.asarray(level * np.exp(noise * np.random.default_rng(seed).normal(size=nights)))


def stepped(seed: int, at: int, ratio: float, nights: int = 60, noise: float = 0.03) -> Column:
    values = noisy(seed, nights, noise)
    values[at:] *= ratio
    return values


def changes(values: Column, *, high_is_worse: bool = True) -> tuple[Change, ...]:
    return outlooks({"one": course(values, high_is_worse=high_is_worse)})["one"].changes


# The parts.


def energy(x: Column, y: Column) -> float:
    """By definition, pair by pair."""
    m, n = len(x), len(y)
    between = sum(abs(a - b) for a in x for b in y) * 2 / (m * n)
    within_x = sum(abs(x[i] - x[k]) for i in range(m) for k in range(i)) * 2 / (m * (m - 1))
    within_y = sum(abs(y[i] - y[k]) for i in range(n) for k in range(i)) * 2 / (n * (n - 1))
    return float(m * n / (m + n) * (between - within_x - within_y))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("side", [2, SIDE])
def test_the_split_is_the_one_of_the_largest_energy(seed: int, side: int) -> None:
    y = np.random.default_rng(seed).normal(size=17)
    y[9 + seed % 4 :] += 0.5 * seed
    by_definition = {split: energy(y[:split], y[split:]) for split in range(side, len(y) - side + 1)}
    assert e_divisive(y, side) == max(by_definition, key=lambda split: by_definition[split])


def test_the_sides_of_each_split_are_those_of_students_t() -> None:
    y = np.random.default_rng(3).normal(5.0, 2.0, size=15)
    splits = range(SIDE, len(y) - SIDE + 1)
    steps, spans, within = sides(y)
    students = [stats.ttest_ind(y[split:], y[:split]).statistic for split in splits]
    assert steps / np.sqrt(within / 13 * spans) == pytest.approx(students)


def test_equal_figures_differ_by_no_less_than_the_floor() -> None:
    assert sides(np.zeros(12))[2].tolist() == pytest.approx([12 * FLOOR**2] * 5)


def test_what_stands_out_is_drawn_to_the_edge_and_nothing_else_moves() -> None:
    y = np.array([-1.0, 0.0, 1.0, 2.0, 50.0, -2.0, 0.5])
    deviation = 1.4826 * (1.0 + 0.8 / 7) * 1.5  # of the median 0.5
    assert clipped(y).tolist() == pytest.approx([-1.0, 0.0, 1.0, 2.0, 0.5 + CLIP * deviation, -2.0, 0.5])
    assert clipped(np.array([3.0, 3.0, 3.0, 4.0])).tolist() == pytest.approx([3.0, 3.0, 3.0, 3.0 + CLIP * FLOOR])


# The replay.


def test_a_slowdown_is_told_dated_and_measured() -> None:
    (one,) = changes(stepped(1, 30, 1.12))
    assert one.worse
    assert one.at == 30
    assert 30 + SIDE - 1 <= one.told <= 38
    assert one.low < 1.12 < one.high
    assert one.ratio == pytest.approx(1.12, abs=0.02)


def test_the_same_of_a_rate_is_an_improvement_and_of_its_fall_a_regression() -> None:
    (rise,) = changes(stepped(1, 30, 1.12), high_is_worse=False)
    assert not rise.worse
    (fall,) = changes(stepped(1, 30, 1 / 1.12), high_is_worse=False)
    assert fall.worse
    assert fall.ratio < 1.0


def test_a_step_there_and_back_is_two_changes() -> None:
    values = stepped(4, 20, 1.15)
    values[40:] /= 1.15
    there, back = changes(values)
    assert (there.worse, back.worse) == (True, False)
    assert abs(there.at - 20) <= 1
    assert abs(back.at - 40) <= 1
    assert there.ratio * back.ratio == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_the_unit_does_not_matter(factor: float) -> None:
    here, there = changes(stepped(2, 25, 1.1)), changes(factor * stepped(2, 25, 1.1))
    assert [(one.at, one.told) for one in here] == [(one.at, one.told) for one in there] != []
    assert [one.ratio for one in here] == pytest.approx([one.ratio for one in there])


def test_what_was_told_stays_told_and_nothing_is_told_before_its_night() -> None:
    courses = {0: stepped(5, 22, 1.12), 1: noisy(6), 2: stepped(7, 40, 0.85)}
    whole = outlooks({key: course(values) for key, values in courses.items()})
    assert [len(whole[key].changes) for key in courses] == [1, 0, 1]
    for night in range(FEWEST, 61):
        so_far = outlooks({key: course(values[:night]) for key, values in courses.items()})
        for key in courses:
            expected = [(one.at, one.told) for one in whole[key].changes if one.told < night]
            assert [(one.at, one.told) for one in so_far[key].changes] == expected


def test_other_courses_make_it_harder() -> None:
    """The chance of a false alarm is shared: what is told of one alone may need another night among many."""
    own = stepped(1, 30, 1.07)
    alone = changes(own)[0].told
    many = outlooks({0: course(own), **{number: course(noisy(100 + number)) for number in range(1, 40)}})
    assert many[0].changes[0].told >= alone
    assert not any(many[number].changes for number in range(1, 40))


def test_courses_of_a_kind_lend_each_other_what_they_know_of_their_noise() -> None:
    """With noise that is known a change is told sooner, on average, than by a course that is left to itself."""

    def told(seed: int, kind: str) -> int:
        calm = {number: Course(np.arange(40), noisy(50 * seed + number, 40), kind="calm") for number in range(1, 9)}
        seen = outlooks({0: Course(np.arange(40), stepped(50 * seed, 14, 1.08, 40), kind=kind), **calm})[0]
        return seen.changes[0].told if seen.changes else 40

    assert sum(told(seed, "calm") - told(seed, "by itself") for seed in range(20)) < -20


def test_noise_that_differs_from_course_to_course_lends_nothing_that_deceives() -> None:
    """Courses of 0.5 to 16 % of noise, called one kind. Of a history in twenty something may be told."""
    told = 0
    for seed in range(12):
        courses = {number: Course(np.arange(60), noisy(50 * seed + number, noise=0.005 * 2 ** (number % 6)), kind="p99")
                   for number in range(18)}  # fmt: skip
        told += sum(len(one.changes) for one in outlooks(courses).values())
    assert told <= 2


def test_courses_that_ended_long_ago_share_no_chance() -> None:
    own = course(stepped(1, 30, 1.07), first=HORIZON + 20)
    gone = {number: course(noisy(200 + number, 20)) for number in range(1, 80)}
    assert outlooks({0: own, **gone})[0].changes[0].told == changes(stepped(1, 30, 1.07))[0].told


def test_nights_without_a_figure_are_left_out() -> None:
    values, nights = stepped(1, 30, 1.12), np.arange(60)
    kept = nights % 7 != 3
    (one,) = outlooks({0: Course(nights[kept], values[kept])})[0].changes
    assert abs(int(nights[kept][one.at]) - 30) <= 2


@pytest.mark.parametrize("nights", [0, 1, SIDE, FEWEST - 1])
def test_too_few_nights_tell_nothing(nights: int) -> None:
    seen = outlooks({0: course(stepped(1, nights // 2, 3.0, nights))})[0]
    assert (seen.changes, seen.stands_out) == ((), None)


def test_figures_that_never_vary_are_no_change_until_they_do() -> None:
    flat = np.full(40, 1250.0)
    assert changes(flat) == ()
    flat[25:] = 1100.0
    (one,) = changes(flat, high_is_worse=False)
    assert (one.at, one.worse) == (25, True)


@pytest.mark.parametrize("slow", [1.3, 3.0, 50.0])
def test_one_slow_night_is_no_change_and_stands_out(slow: float) -> None:
    for night in (5, 30, 59):
        values = noisy(9)
        values[night] *= slow
        seen = outlooks({0: course(values)})[0]
        assert seen.changes == ()
        assert (seen.stands_out is not None) == (night == 59)
    assert seen.stands_out == pytest.approx(slow, rel=0.08)


def test_nights_that_depend_on_each_other_are_seen_to() -> None:
    rng = np.random.default_rng(8)
    courses = {}
    for number in range(12):
        y = rng.normal(size=60)
        for night in range(1, 60):
            y[night] = 0.5 * y[night - 1] + np.sqrt(0.75) * y[night]
        courses[number] = course(np.exp(0.03 * y))
    seen = outlooks(courses)
    assert np.median([one.dependence for one in seen.values()]) == pytest.approx(0.5, abs=0.1)
    independent = outlooks({number: course(noisy(number)) for number in range(12)})
    assert max(one.dependence for one in independent.values()) < 0.2


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_figure_that_is_not_above_zero_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        outlooks({0: course(np.array([1.0, wrong]))})


# Stated rates, on a sample of smaller matrices; benchmarks/change_points.py has the thousands.


@pytest.fixture
def made_up(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(checkout / "benchmarks"))
    import change_points

    return change_points


def test_matrices_without_a_change_stay_quiet(made_up: Any) -> None:
    """In 95 % of histories in the long run."""
    kind = replace(made_up.PLAIN, courses=15)
    assert sum(made_up.seen(kind, 1, number).false == 0 for number in range(20)) >= 18


def test_a_regression_of_5_percent_under_3_percent_noise_is_found(made_up: Any) -> None:
    """In 95 % and dated to within two nights in 80 % in the long run."""
    (kind,) = [kind for kind in made_up.KINDS if kind.name == "5% planted"]
    seen = [made_up.seen(replace(kind, courses=15), 1, number) for number in range(20)]
    assert sum(one.delay is not None for one in seen) >= 18
    assert sum(one.off is not None and abs(one.off) <= 2 for one in seen) >= 15
