"""When did a nightly figure change? E-divisive says where, a t-test says whether, replayed night after night.

A history is looked at after each night, over a whole matrix of courses, so chance gets thousands of tries. What
keeps it in check:

- Candidates are told from the last change on. The split is E-divisive's (Matteson and James, 2014, on distances);
  it stands when Student's t-test of its two sides does, as in Hunter and Otava (Fleming et al., 2023).
- The test's limit is ALPHA_OF_HORIZON, shared by the courses, for HORIZON nights of looks. That repeated looks and
  free choice of the split multiply chance is paid for by _LOOKS, found by simulation
  (benchmarks/change_points.py). Short sides pay the most (the limit grows with the cube of the shorter side's
  length): there are many of them, and what shows on few nights is large anyhow.
- Nights that depend on each other deceive a t-test. The correlation of successive nights is estimated from all
  courses together, each drawn to the others as far as they agree (empirical Bayes), and t is reduced by it.
- A course alone knows its noise badly, and far out in its tails a t-test pays for that. Courses of one kind lend each
  other what they know of it, as far as they agree (Smyth's moderated t, 2004).
- A night that stands out by itself counts for no more than CLIP robust deviations.

A change that was told stays told: every decision uses only the nights before it, so that the same history always
gives the same changes, whenever it is looked at.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

K = TypeVar("K", bound=Hashable)
Column = NDArray[np.float64]

ALPHA_OF_HORIZON = 0.05
"""Chance of any false alarm in all courses together, within HORIZON nights without a change."""
HORIZON = 60
WINDOW = 120
"""Nights since the last change that are looked at, at most."""
FEWEST = 12
"""With fewer nights since the last change nothing is told."""
SIDE = 4
"""Nights on either side of a change, at least."""
CLIP = 2.5
WORSE_SHARE = 0.8
"""Of the chance of a false alarm, the part that is spent on changes for the worse."""
FLOOR = 0.001
"""Relative; figures repeat no better than this, whatever a few equal ones suggest."""
_LOOKS = 13.5
"""Natural logarithm of what repeated looks cost, for a limit that grows with the cube of a side's length."""
_AFTER_HORIZON = 5.0
"""The limit falls with this power of the nights beyond HORIZON: later nights raise no more alarms than the first."""
_MAD = 1.4826
_MOST_DEPENDENT = 0.9
_KIN = 4
"""Fewer courses of a kind lend each other nothing."""
_MOST_LENT = 60.0
"""Degrees of freedom: however well they agree, the others weigh no more than so many nights of its own."""
_CHOSEN = 5.5
"""Degrees of freedom that the means of the two sides take, and the choice of the split."""
_ROUNDS = 12
_HIDDEN = 2.8
"""Taking the two sides' means away hides (1 + 3 φ)/n of a correlation φ for each; the best split hides a bit more."""


@dataclass(frozen=True, slots=True)
class Course:
    """One figure of one cell, night by night, host and configuration being the same throughout."""

    nights: NDArray[np.int64]
    """Numbers of the nights, rising; nights without a valid figure are left out."""
    values: Column
    """Above zero: changes are told as ratios."""
    high_is_worse: bool = True
    kind: str = ""
    """Courses of one kind are noisy alike, more or less: all p99s, say."""


@dataclass(frozen=True, slots=True)
class Change:
    """The level differs from `at` on (a position in the course); it was told after the night at `told`."""

    at: int
    told: int
    ratio: float
    """The level after it, over the level before it; of all nights up to the next change."""
    low: float
    high: float
    """95 % interval of the ratio, for this date."""
    worse: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a course says at its last night."""

    changes: tuple[Change, ...]
    dependence: float
    """Correlation of successive nights that was allowed for."""
    stands_out: float | None
    """The last night over the median since the last change, where it lies beyond four robust deviations."""


def outlooks(courses: Mapping[K, Course], *, alpha: float = ALPHA_OF_HORIZON) -> dict[K, Outlook]:
    """Replays the nights of all courses together. Raises ValueError for values that are not above zero."""
    tracks = {key: _Track.of(course) for key, course in courses.items()}
    for night in sorted({int(night) for course in courses.values() for night in course.nights}):
        fresh = [track for track in tracks.values() if track.advance(night)]
        begun = [track for track in tracks.values() if track.is_live(night)]
        limit = _LOOKS + np.log(len(begun) / alpha)
        looks = [track.look() for track in fresh if track.length >= FEWEST]
        if not looks:
            continue
        looked = [track for track in begun if track.noise is not None]
        common = _common([(track.correlation, track.length) for track in looked])
        lent = {kind: _lent([track for track in looked if track.kind == kind]) for kind in {one.kind for one in looked}}
        for look in looks:
            look.track.dependence = common.of(look.track.correlation, len(look.y))
            look.decide(limit, lent[look.track.kind])
    return {key: track.outlook() for key, track in tracks.items()}


def e_divisive(y: Column, side: int = SIDE) -> int:
    """Where two sides of at least `side` values differ most: the position of the second side's first value.

    The largest weighted energy distance mn/(m + n) (2 E|X−Y| − E|X−X'| − E|Y−Y'|) over all splits.
    """
    n = len(y)
    sums = np.abs(y[:, None] - y[None, :]).cumsum(axis=0).cumsum(axis=1)
    m = np.arange(side, n - side + 1)
    r = n - m
    left = sums[m - 1, m - 1] / 2.0
    between = sums[m - 1, n - 1] - sums[m - 1, m - 1]
    right = sums[n - 1, n - 1] / 2.0 - left - between
    energy = 2.0 * between / (m * r) - 2.0 * left / (m * (m - 1)) - 2.0 * right / (r * (r - 1))
    return int(m[np.argmax(energy * m * r / n)])


@dataclass(slots=True)
class _Track:
    """One course as far as it has been replayed."""

    nights: NDArray[np.int64]
    logs: Column
    high_is_worse: bool
    kind: str
    seen: int = 0
    start: int = 0
    """Where the present level begins."""
    dependence: float = 0.0
    correlation: float = 0.0
    """Of successive nights, by itself, at the last look."""
    noise: tuple[float, float] | None = None
    """Variance within the two sides of the best split, and its degrees of freedom, at the last look."""
    told: list[tuple[int, int]] = field(default_factory=list)

    @staticmethod
    def of(course: Course) -> _Track:
        values = np.asarray(course.values, dtype=np.float64)
        if not np.all(np.isfinite(values) & (values > 0.0)):
            raise ValueError("a figure of a course is not above zero")
        return _Track(np.asarray(course.nights, dtype=np.int64), np.log(values), course.high_is_worse, course.kind)

    @property
    def length(self) -> int:
        return self.seen - self.start

    def advance(self, night: int) -> bool:
        """Take in the night's value; False where it has none."""
        if self.seen < len(self.nights) and self.nights[self.seen] == night:
            self.seen += 1
            return True
        return False

    def is_live(self, night: int) -> bool:
        """Whether it has had a value within HORIZON nights: those that ended long ago share in no chance."""
        return self.seen > 0 and night - int(self.nights[self.seen - 1]) < HORIZON

    def look(self) -> _Look:
        first = max(self.start, self.seen - WINDOW)
        look = _Look.at(self, first, clipped(self.logs[first : self.seen]))
        split = SIDE + int(np.argmax(np.abs(look.steps) / np.sqrt(look.within * look.spans)))
        free = len(look.y) - _CHOSEN
        self.correlation = _correlation(look.y, split)
        self.noise = (max(float(look.within[split - SIDE]) / free, FLOOR**2), free)
        return look

    def outlook(self) -> Outlook:
        begins = [0, *(at for at, _ in self.told)]
        ends = [*begins[1:], len(self.logs)]
        changes = tuple(
            self._change(before, at, after, told)
            for before, (at, told), after in zip(begins[:-1], self.told, ends[1:], strict=True)
        )
        return Outlook(changes, self.dependence, _standing_out(self.logs[self.start :]))

    def _change(self, before: int, at: int, after: int, told: int) -> Change:
        x, y = clipped(self.logs[before:at]), clipped(self.logs[at:after])
        n = len(x) + len(y)
        pooled = (((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum()) / (n - 2)
        inflated = max(pooled, FLOOR**2) * (1.0 + self.dependence) / (1.0 - self.dependence)
        reach = float(special.stdtrit(n - 2, 0.975) * np.sqrt(inflated * (1.0 / len(x) + 1.0 / len(y))))
        step = float(y.mean() - x.mean())
        low, ratio, high = (float(np.exp(step + by)) for by in (-reach, 0.0, reach))
        return Change(at, told, ratio, low, high, worse=(step > 0.0) == self.high_is_worse)


@dataclass(frozen=True, slots=True)
class _Look:
    """One course after one night: both sides of the splits SIDE, SIDE + 1, …"""

    track: _Track
    first: int
    y: Column
    steps: Column
    """Mean of the second side minus mean of the first."""
    spans: Column
    """1/m + 1/n of the sides' lengths."""
    within: Column
    """Sum of squares within the two sides."""

    @staticmethod
    def at(track: _Track, first: int, y: Column) -> _Look:
        return _Look(track, first, y, *sides(y))

    def decide(self, limit: float, lent: _Lent) -> None:
        """Tell the course's track of a change, if there is one."""
        n, dependence = len(self.y), self.track.dependence
        free = n - 2 + lent.free
        variance = np.maximum((self.within + lent.free * lent.variance) / free, FLOOR**2)
        t = self.steps / np.sqrt(variance * self.spans * (1.0 + dependence) / (1.0 - dependence))
        splits = np.arange(SIDE, n - SIDE + 1)
        worse = (t > 0.0) == self.track.high_is_worse
        spent = np.where(worse, WORSE_SHARE, 1.0 - WORSE_SHARE)
        p = np.maximum(2.0 * special.stdtr(free, -np.abs(t)), np.finfo(np.float64).tiny)
        limit += _AFTER_HORIZON * np.log(max(n, HORIZON) / HORIZON)
        stands = 3.0 * np.log(np.minimum(splits, n - splits)) + np.log(2.0 * spent) - np.log(p) >= limit
        if not stands.any():  # whatever split is chosen
            return
        split = e_divisive(self.y)
        if stands[split - SIDE]:
            self.track.start = self.first + split
            self.track.told.append((self.first + split, self.track.seen - 1))


@dataclass(frozen=True, slots=True)
class _Common:
    """What the courses' correlations have in common: their middle, and how far they truly differ (a variance)."""

    middle: float
    spread: float

    def of(self, own: float, n: int) -> float:
        """A course's own estimate, drawn to the middle as far as chance may have moved it; never below 0."""
        trust = self.spread / (self.spread + 1.0 / n)
        whole = float(_unhidden(own, n, self.middle))
        return float(np.clip(self.middle + trust * (whole - self.middle), 0.0, _MOST_DEPENDENT))


def _common(seen: list[tuple[float, int]]) -> _Common:
    own, n = (np.array(column, dtype=np.float64) for column in zip(*seen, strict=True))
    middle = 0.0
    for _ in range(_ROUNDS if len(own) >= _KIN else 1):  # what is hidden depends on what is looked for
        middle = min(max(float(np.median(_unhidden(own, n, middle))), 0.0), _MOST_DEPENDENT)
    spread = float(own.var(ddof=1)) - float(np.mean(1.0 / n)) if len(own) > 1 else 0.0
    return _Common(middle, max(spread, 0.0))


def _unhidden(own: Column | float, n: Column | int, correlation: float) -> Column | float:
    """With what taking the two sides' means away hides of a correlation."""
    return own + _HIDDEN * (1.0 + 3.0 * correlation) / n


@dataclass(frozen=True, slots=True)
class _Lent:
    """What the courses of one kind know of each other's noise: a variance, worth so many degrees of freedom."""

    variance: float
    free: float


def _lent(tracks: list[_Track]) -> _Lent:
    """Smyth's empirical Bayes: the more the courses' own variances agree, the more the middle of them is worth."""
    seen = [track.noise for track in tracks if track.noise is not None]
    if len(seen) < _KIN:
        return _Lent(0.0, 0.0)
    variances, free = np.array(seen).T
    logs = np.log(variances) - special.digamma(free / 2.0) + np.log(free / 2.0)
    spread = float(logs.var(ddof=1) - special.polygamma(1, free / 2.0).mean())
    worth = _MOST_LENT
    if spread > special.polygamma(1, _MOST_LENT / 2.0):
        worth = float(optimize.brentq(lambda x: special.polygamma(1, x / 2.0) - spread, 1e-3, _MOST_LENT))
    middle = float(logs.mean() + special.digamma(worth / 2.0) - np.log(worth / 2.0))
    return _Lent(float(np.exp(middle)), worth)


def clipped(y: Column) -> Column:
    """No value further from the median than CLIP robust deviations."""
    middle = float(np.median(y))
    reach = CLIP * _deviation(y, middle)
    return np.clip(y, middle - reach, middle + reach)


def _deviation(y: Column, middle: float) -> float:
    return max(_MAD * (1.0 + 0.8 / len(y)) * float(np.median(np.abs(y - middle))), FLOOR)


def _standing_out(y: Column) -> float | None:
    if len(y) < FEWEST:
        return None
    before = y[:-1]
    middle = float(np.median(before))
    off = float(y[-1]) - middle
    return float(np.exp(off)) if abs(off) > 4.0 * _deviation(before, middle) else None


def sides(y: Column) -> tuple[Column, Column, Column]:
    """Of every split with SIDE values on either side: second mean minus first, 1/m + 1/n, squares within the two."""
    n = len(y)
    centred = y - y.mean()
    m = np.arange(SIDE, n - SIDE + 1)
    first = centred.cumsum()[m - 1]
    between = first**2 / m + first**2 / (n - m)
    within = np.maximum(float((centred**2).sum()) - between, n * FLOOR**2)
    return -first / (n - m) - first / m, 1.0 / m + 1.0 / (n - m), within


def _correlation(y: Column, split: int) -> float:
    """Of successive values, within the two sides."""
    rest = np.concatenate((y[:split] - y[:split].mean(), y[split:] - y[split:].mean()))
    total = max(float((rest**2).sum()), len(y) * FLOOR**2)
    products = rest[1:] * rest[:-1]
    products[split - 1] = 0.0
    return float(products.sum()) / total
