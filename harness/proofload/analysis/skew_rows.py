"""Whole rows that belong elsewhere: an earlier row of the same entity (stale), or somebody else's (cross-talk)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.feature_values import Kind, Values
from proofload.analysis.parity import tolerance

MOST_ROWS = 1_000
_MOST_CANDIDATES = 200
_LAGS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Joined:
    """Serving rows, each with its row of the reference.

    `reference` holds all of training's rows, in order of time; `serving` only those that are compared.
    """

    reference: Mapping[str, Values]
    serving: Mapping[str, Values]
    row: NDArray[np.int64]
    """Of each serving row: the reference row with its id."""
    bad: Mapping[str, NDArray[np.bool_]]
    """Of each feature: in which serving rows it differs."""
    entity: NDArray[np.int64] | None = None
    """Of each reference row: whom it is about (a card, a customer); -1: nobody."""
    rtol: float = 1e-5


@dataclass(frozen=True, slots=True)
class Misplaced:
    """How many of the rows that differ somewhere hold another row's values."""

    tested: int
    stale: float
    """Share whose differing values are all those of an earlier (or other) row of the same entity."""
    by_chance: float
    """The same share with rows of other entities: what coincidence gives."""
    foreign: float
    """Share whose values are all those of another row, of another entity where that is known."""
    lag: int
    """Staleness by so many rows where no entity is known; 0: by entity."""
    stale_features: Mapping[str, float]
    """Of each feature by itself: the same share, where coincidence would give much less."""


def misplaced(joined: Joined, *, seed: int = 0) -> Misplaced:
    """Looks at no more than a thousand of the rows that differ."""
    names = list(joined.bad)
    somewhere = np.zeros(len(joined.row), np.bool_)
    for name in names:
        somewhere |= joined.bad[name]
    rows = np.flatnonzero(somewhere)
    rng = np.random.default_rng(seed)
    if len(rows) > MOST_ROWS:
        rows = np.sort(rng.choice(rows, MOST_ROWS, replace=False))
    matcher = _Matcher(joined)
    foreign = np.array([row for row in rows.tolist() if _elsewhere(matcher, joined, row)], dtype=np.int64)
    stale, chance, lag = _stale(matcher, joined, rows, rng)
    total = max(1, len(rows))
    alone = {} if joined.entity is None else _each_by_itself(matcher, joined, rows, rng)
    return Misplaced(len(rows), len(stale) / total, chance, len(foreign) / total, lag, alone)


def _each_by_itself(
    matcher: _Matcher, joined: Joined, rows: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, float]:
    """A history that is out of date is one of several features of a row; what is derived from it equals nothing."""
    found = {}
    for name, bad in joined.bad.items():
        of_it = rows[bad[rows]][:_MOST_CANDIDATES]
        stale, chance, _ = _stale(matcher, joined, of_it, rng, [name])
        share = len(stale) / max(1, len(of_it))
        if share > 2 * chance + 0.1:
            found[name] = share
    return found


class _Matcher:
    """Tells in which reference rows a serving row's values stand."""

    def __init__(self, joined: Joined) -> None:
        self._joined = joined
        self._within = {
            name: tolerance(values.number, values.number, joined.rtol) for name, values in joined.reference.items()
        }
        self._anchor, self._order = self._most_telling()
        self._sorted = joined.reference[self._anchor].number[self._order]

    def same(self, serving_row: int, candidates: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.bool_]:
        """Which candidate reference rows have this serving row's values in all these features."""
        fits = np.ones(len(candidates), np.bool_)
        for name in names:
            have, ours = self._joined.reference[name], self._joined.serving[name]
            kind = ours.kind[serving_row]
            if kind == Kind.NULL:
                fits &= have.kind[candidates] == Kind.NULL
            elif kind == Kind.TEXT:
                fits &= have.text[candidates] == ours.text[serving_row]
            else:
                off = np.abs(have.number[candidates] - ours.number[serving_row])
                fits &= (off <= self._within[name][candidates]) | (have.number[candidates] == ours.number[serving_row])
            if not fits.any():
                break
        return fits

    def alike(self, serving_row: int) -> NDArray[np.int64]:
        """Reference rows whose most telling feature is this serving row's; at most some hundred."""
        value = self._joined.serving[self._anchor].number[serving_row]
        if not np.isfinite(value):
            return np.empty(0, np.int64)
        slack = abs(value) * 1e-4
        first, last = np.searchsorted(self._sorted, (value - slack, value + slack))
        return self._order[first : min(int(last), int(first) + _MOST_CANDIDATES)]

    def _most_telling(self) -> tuple[str, NDArray[np.int64]]:
        distinct = {
            name: len(np.unique(values.number[values.numeric])) for name, values in self._joined.reference.items()
        }
        anchor = max(distinct, key=lambda name: distinct[name])
        numbers = self._joined.reference[anchor].number
        order = np.argsort(numbers, kind="stable")
        return anchor, order[: int(np.isfinite(numbers).sum())].astype(np.int64)


def _elsewhere(matcher: _Matcher, joined: Joined, row: int) -> bool:
    own = int(joined.row[row])
    if sum(bool(joined.bad[name][row]) for name in joined.bad) < 2:
        return False
    candidates = matcher.alike(row)
    candidates = candidates[candidates != own]
    if joined.entity is not None and joined.entity[own] >= 0:
        candidates = candidates[joined.entity[candidates] != joined.entity[own]]
    return bool(len(candidates) and matcher.same(row, candidates, list(joined.reference)).any())


def _stale(
    matcher: _Matcher,
    joined: Joined,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
    only: Sequence[str] = (),
) -> tuple[NDArray[np.int64], float, int]:
    none = np.empty(0, np.int64)
    if not len(rows):
        return none, 0.0, 0
    if joined.entity is None:
        return _lagging(matcher, joined, rows)
    order = np.argsort(joined.entity, kind="stable")
    sorted_entity = joined.entity[order]
    found, chance, tested = [], 0, 0
    total = len(joined.entity)
    for row in rows.tolist():
        own = int(joined.row[row])
        whose = joined.entity[own]
        if whose < 0:
            continue
        first, last = np.searchsorted(sorted_entity, (whose, whose + 1))
        others = order[first:last]
        others = others[others != own][-_MOST_CANDIDATES:].astype(np.int64)
        if not len(others):
            continue
        tested += 1
        names = only or [name for name in joined.bad if joined.bad[name][row]]
        if matcher.same(row, others, names).any():
            found.append(row)
        strangers = rng.integers(0, total, len(others))
        chance += bool(matcher.same(row, strangers, names).any())
    return np.array(found, dtype=np.int64), chance / max(1, tested), 0


def _lagging(matcher: _Matcher, joined: Joined, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], float, int]:
    best: tuple[NDArray[np.int64], float, int] = (np.empty(0, np.int64), 0.0, 0)
    for lag in _LAGS:
        found, chance = [], 0
        for row in rows.tolist():
            own = int(joined.row[row])
            names = [name for name in joined.bad if joined.bad[name][row]]
            if own >= lag and matcher.same(row, np.array([own - lag]), names)[0]:
                found.append(row)
            if own >= lag + 10:
                chance += bool(matcher.same(row, np.array([own - lag - 10]), names)[0])
        if len(found) > len(best[0]):
            best = (np.array(found, dtype=np.int64), chance / len(rows), lag)
    return best
