"""Whole rows that belong elsewhere: an earlier row of the same entity (stale), or somebody else's (cross-talk)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.feature_values import Kind, Values
from proofload.analysis.parity import tolerance
from proofload.analysis.skew_staleness import Histories, Stale, out_of_date

MOST_ROWS = 1_000
_MOST_CANDIDATES = 200


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
    stale: Stale
    """Rows whose differing values are all those of an earlier (or other) row of the same entity."""
    foreign: float
    """Share whose values are all those of another row, of another entity where that is known."""
    stale_features: Mapping[str, Stale]
    """Of each feature by itself, where it convinces."""


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
    histories = Histories(joined.entity, len(next(iter(joined.reference.values()))))
    stale = out_of_date(joined, matcher.same, histories, rows, rng=rng)
    alone = {} if joined.entity is None else _each_by_itself(matcher, joined, histories, rows, rng)
    return Misplaced(len(rows), stale, len(foreign) / max(1, len(rows)), alone)


def _each_by_itself(
    matcher: _Matcher, joined: Joined, histories: Histories, rows: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, Stale]:
    """A history that is out of date is one of several features of a row; what is derived from it equals nothing."""
    found = {}
    for name, bad in joined.bad.items():
        of_it = rows[bad[rows]]
        if len(of_it) > _MOST_CANDIDATES:
            of_it = np.sort(rng.choice(of_it, _MOST_CANDIDATES, replace=False))
        stale = out_of_date(joined, matcher.same, histories, of_it, rng=rng, only=[name])
        if stale.convincing:
            found[name] = stale
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

    def same(
        self, row: int, candidates: NDArray[np.int64], names: Sequence[str], of: Mapping[str, Values] | None = None
    ) -> NDArray[np.bool_]:
        """See `proofload.analysis.skew_staleness.Same`."""
        source = self._joined.serving if of is None else of
        fits = np.ones(len(candidates), np.bool_)
        for name in names:
            have, ours = self._joined.reference[name], source[name]
            kind = ours.kind[row]
            if kind == Kind.NULL:
                fits &= have.kind[candidates] == Kind.NULL
            elif kind == Kind.TEXT:
                fits &= have.text[candidates] == ours.text[row]
            else:
                off = np.abs(have.number[candidates] - ours.number[row])
                fits &= (off <= self._within[name][candidates]) | (have.number[candidates] == ours.number[row])
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
