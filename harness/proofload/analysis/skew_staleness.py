"""Is a value that differs the one of an earlier row of the same entity, and oftener than coincidence has it?

Small whole numbers come again everywhere: some row of a customer has nearly every count. So what is looked at is one
row at a distance, one to three events before, and beside it what as telling a row gives that cannot be where a stale
value comes from: as many events later, farther back, somebody else's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from proofload.analysis.feature_values import Values
from proofload.analysis.skew_diagnosis import CONVINCING

if TYPE_CHECKING:
    from proofload.analysis.skew_rows import Joined

MOST_OTHERS = 200
LAGS = (1, 2, 3)
_FARTHER, _FARTHER_OF_ENTITY = 10, 3
"""Rows beyond the lag at which a match means nothing: in a file that mixes entities, and within one."""
_RARE = 1e-4
_FEWEST = 0.2
"""Of the rows; coincidence is not known better from fewer that have such a row at all."""
_MOST_BY_CHANCE = 0.3
"""Where any row will do: more that match by coincidence say that a match means nothing."""
_ANY_ROW = 0.05
"""One lag is told rather than any row of the entity where that explains no more than so much beside it."""


class Same(Protocol):
    def __call__(
        self, row: int, candidates: NDArray[np.int64], names: Sequence[str], of: Mapping[str, Values] | None = None
    ) -> NDArray[np.bool_]:
        """Which candidate reference rows have the values of a row of `of` (of serving, unless told) in all `names`."""


@dataclass(frozen=True, slots=True)
class Stale:
    """How many of the rows that differ have the values of an earlier row."""

    tested: int
    share: float
    by_chance: float
    """The same share with rows that no stale value comes from, or by one difference that is the same in all rows."""
    lag: int
    """So many rows before, of the entity where one is known; 0: any other row of the entity."""

    @property
    def convincing(self) -> bool:
        """It holds for nearly all rows, and for nearly all of those that coincidence would leave unexplained."""
        if self.share < CONVINCING or (not self.lag and self.by_chance > _MOST_BY_CHANCE):
            return False
        chance = (self.by_chance * self.tested + 1) / (self.tested + 2)
        beyond = (self.share - self.by_chance) / max(1e-12, 1 - self.by_chance)
        hits = round(self.share * self.tested)
        return beyond >= CONVINCING and float(stats.binom.sf(hits - 1, self.tested, chance)) < _RARE


class Histories:
    """The reference's rows of each entity in their order; all rows are one's where no entity is known."""

    def __init__(self, entity: NDArray[np.int64] | None, rows: int) -> None:
        self.known = entity is not None
        self._whose = np.zeros(rows, np.int64) if entity is None else entity
        self._order = np.argsort(self._whose, kind="stable").astype(np.int64)
        self._place = np.empty(rows, np.int64)
        self._place[self._order] = np.arange(rows)
        self._sorted = self._whose[self._order]

    def at(self, row: int, distances: NDArray[np.int64]) -> NDArray[np.int64]:
        """The entity's rows at these distances, earlier ones negative; -1 where there is none."""
        if self._whose[row] < 0:
            return np.full(len(distances), -1, np.int64)
        places = self._place[row] + distances
        inside = (places >= 0) & (places < len(self._order))
        found = self._order[np.where(inside, places, 0)]
        its = inside & (self._whose[found] == self._whose[row])
        return np.asarray(np.where(its, found, -1), dtype=np.int64)

    def others(self, row: int) -> NDArray[np.int64]:
        if self._whose[row] < 0:
            return np.empty(0, np.int64)
        first, last = np.searchsorted(self._sorted, (self._whose[row], self._whose[row] + 1))
        found = self._order[first:last]
        return np.asarray(found[found != row][-MOST_OTHERS:], dtype=np.int64)


def out_of_date(
    joined: Joined,
    same: Same,
    histories: Histories,
    rows: NDArray[np.int64],
    *,
    rng: np.random.Generator,
    only: Sequence[str] = (),
) -> Stale:
    """The lag that explains most of these serving rows, in `only` or in whatever differs; any row of the entity where
    that explains more. A lag of 0 and no share where nothing matches."""
    if not len(rows):
        return Stale(0, 0.0, 0.0, 0)
    names = {row: list(only) or [name for name in joined.bad if joined.bad[name][row]] for row in rows.tolist()}
    at_least = _one_difference(joined, names)
    tried = _late(joined, same, histories, names, rng)
    if histories.known:
        tried.append(_any_row(joined, same, histories, names, rng))
    tried = [replace(one, by_chance=max(one.by_chance, at_least)) for one in tried]
    sure = [one for one in tried if one.convincing]
    best = max(sure or tried, key=lambda one: one.share - (0 if one.lag else _ANY_ROW))
    return best if best.share > 0 else Stale(len(rows), 0.0, 0.0, 0)


def _late(
    joined: Joined, same: Same, histories: Histories, names: Mapping[int, Sequence[str]], rng: np.random.Generator
) -> list[Stale]:
    lags = np.array(LAGS, dtype=np.int64)
    farther = lags + (_FARTHER_OF_ENTITY if histories.known else _FARTHER)
    distances = np.concatenate([-lags, lags, -farther])
    total = len(next(iter(joined.reference.values())))
    hits = np.zeros((len(names), len(distances) + 1), np.bool_)
    there = np.zeros_like(hits)
    for place, (row, differing) in enumerate(names.items()):
        stranger = int(rng.integers(0, total)) if histories.known else -1
        candidates = np.append(histories.at(int(joined.row[row]), distances), stranger)
        there[place] = candidates >= 0
        hits[place] = there[place] & same(row, np.maximum(candidates, 0), differing)
    share = hits.mean(axis=0)
    chance = hits.sum(axis=0) / np.maximum(there.sum(axis=0), _FEWEST * len(names))
    later, far, stranger = chance[len(lags) : 2 * len(lags)], chance[2 * len(lags) : -1], chance[-1]
    by_chance = np.maximum(np.maximum(later, far), stranger)
    return [Stale(len(names), float(share[place]), float(by_chance[place]), lag) for place, lag in enumerate(LAGS)]


def _any_row(
    joined: Joined, same: Same, histories: Histories, names: Mapping[int, Sequence[str]], rng: np.random.Generator
) -> Stale:
    """A value kept for long is of a row at no one distance. Where values come again within an entity, that some row
    has one says nothing: so often the entity's own rows are found again, too."""
    total = len(next(iter(joined.reference.values())))
    hits, strange, again, tested = 0, 0, 0, 0
    for row, differing in names.items():
        own = int(joined.row[row])
        others = histories.others(own)
        if not len(others):
            continue
        tested += 1
        hits += bool(same(row, others, differing).any())
        strange += bool(same(row, rng.integers(0, total, len(others)), differing).any())
        one = int(rng.choice(others))
        rest = np.append(others[others != one], own)
        again += bool(same(one, rest, differing, joined.reference).any())
    return Stale(len(names), hits / len(names), max(strange, again) / max(1, tested), 0)


def _one_difference(joined: Joined, names: Mapping[int, Sequence[str]]) -> float:
    """Share of the rows that the most frequent difference explains: a count without the event itself is no old one."""
    seen: Counter[tuple[str, float]] = Counter()
    for row, differing in names.items():
        if len(differing) != 1:
            continue
        off = joined.serving[differing[0]].number[row] - joined.reference[differing[0]].number[joined.row[row]]
        if np.isfinite(off):
            seen[(differing[0], round(float(off), 9))] += 1
    return max(seen.values(), default=0) / max(1, len(names))
