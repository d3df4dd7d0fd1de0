"""Do requests and scores still look as the model's card says they should? From a sample, cheap enough to be always on.

The card's `reference` holds, for the score and for each feature, bin edges and the share of healthy traffic in each
bin, missing values in a bin of their own. What is told as metrics is the population stability index of the latest
predictions against it, Σ (p − q) ln(p ÷ q), with half a row of the larger side added to either in each bin, so that
an empty one is less than a row and not nothing. Bins are the reference's own: fixed ones show or hide drift by where
they happen to lie. A card without a reference is not watched: no figure is told that would look like "no drift".
"""

from __future__ import annotations

import logging
import math
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .card import Card
from .drift_gauges import DriftGauges
from .metrics import Metrics
from .refusals import StartupError

LOG = logging.getLogger("proofload_servers.drift")
SCORE = "score"
LOOK_EVERY_S = 0.01
"""A prediction is looked at when the last look is this long ago. A look was seen to cost 4 µs, passing by 0.1 µs."""
TELL_EVERY_S = 1.0
FEWEST = 500
"""Predictions below which nothing is told: by chance alone ten bins then give an index of 0.02, at 100 of 0.1."""
HALF_WINDOW = 2000
"""The latest 2,000 to 4,000 predictions that were looked at are what is told of."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The reference of one number. `shares` are those of the bins that `edges` part, the last one of missing values."""

    name: str
    edges: tuple[float, ...]
    shares: tuple[float, ...]
    rows: int

    def bin_of(self, value: float) -> int:
        """An edge belongs to the bin above it."""
        return len(self.edges) + 1 if math.isnan(value) else bisect_right(self.edges, value)

    def stability(self, counts: Sequence[int]) -> float:
        """The population stability index of as many counts as there are shares. 0 and up."""
        seen = sum(counts)
        half = 0.5 / max(seen, self.rows, 1)
        shares = ((count / seen + half, share + half) for count, share in zip(counts, self.shares, strict=True))
        return sum((p - q) * math.log(p / q) for p, q in shares)


def watch(card: Card, metrics: Metrics) -> Drift | None:
    """None for a card without a reference. Raises StartupError for one that cannot be compared with."""
    if not card.reference:
        return None
    try:
        return Drift(card.reference, DriftGauges(metrics.registry))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise StartupError(f"{card.folder}: the card's reference cannot be used: {type(exc).__name__} {exc}") from exc


class Drift:
    """Counts predictions into the reference's bins. `see` is called from any thread; who comes while another one
    looks goes on at once."""

    def __init__(
        self, reference: Mapping[str, Any], gauges: DriftGauges, clock: Callable[[], float] = time.monotonic
    ) -> None:
        rows = int(reference["rows"])
        self._gauges = gauges
        self._clock = clock
        self._score = _expected(SCORE, reference["score"], rows)
        self._features = [_expected(name, told, rows) for name, told in reference["features"].items()]
        self._all = [self._score, *self._features]
        decision = reference.get("decision", {})
        self._threshold = float(decision["threshold"]) if decision else math.inf
        self._looking = threading.Lock()
        self._look_due = self._tell_due = -math.inf
        self._older, self._newer = self._empty(), self._empty()
        for one in self._all:
            gauges.expected(one.name, one.shares[-1])
        if decision:
            gauges.expected_positive(float(decision["positive_share"]))

    def see(self, row: Any, prediction: Any) -> None:
        """One prediction and the row it was made from (a value per feature of the reference, NaN where missing)."""
        now = self._clock()
        if now < self._look_due or not self._looking.acquire(blocking=False):
            return
        self._look_due = now + LOOK_EVERY_S
        try:
            self._look(row, prediction)
            if now >= self._tell_due:
                self._tell_due = now + TELL_EVERY_S
                self._tell()
        except Exception:  # an answer must never fail because somebody looked at it
            self._look_due = math.inf
            LOG.exception("a prediction does not fit the reference of the model's card; drift is no longer watched")
        finally:
            self._looking.release()

    def _look(self, row: Any, prediction: Any) -> None:
        score = float(prediction["score"] if isinstance(prediction, Mapping) else prediction)
        window = self._newer
        window.bins[0][self._score.bin_of(score)] += 1
        for counts, feature, value in zip(window.bins[1:], self._features, row if self._features else (), strict=True):
            counts[feature.bin_of(value)] += 1
        window.seen += 1
        window.positive += score >= self._threshold
        self._gauges.watched()
        if window.seen >= HALF_WINDOW:
            self._older, self._newer = window, self._empty()

    def _tell(self) -> None:
        seen = self._older.seen + self._newer.seen
        if seen < FEWEST:
            return
        for expected, older, newer in zip(self._all, self._older.bins, self._newer.bins, strict=True):
            counts = [one + other for one, other in zip(older, newer, strict=True)]
            self._gauges.told(expected.name, expected.stability(counts), counts[-1] / seen)
        if self._threshold < math.inf:
            self._gauges.told_positive((self._older.positive + self._newer.positive) / seen)

    def _empty(self) -> _Window:
        return _Window([[0] * len(one.shares) for one in self._all])


@dataclass(slots=True)
class _Window:
    """Counts per bin, of the score and then of each feature."""

    bins: list[list[int]]
    seen: int = 0
    positive: int = 0


def _expected(name: str, told: Mapping[str, Any], rows: int) -> Expected:
    edges, shares = tuple(told["edges"]), tuple(told["shares"])
    if len(shares) != len(edges) + 2:
        raise ValueError(f"{name}: {len(edges)} edges make {len(edges) + 2} bins, not {len(shares)}")
    return Expected(name, edges, shares, rows)
