"""Wrong predictions in rows whose features differ: they say nothing of the model, they follow from the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.procedures._skew.parity import Feature, worst
from proofload.verdict.skew_checks import percent

_NEARLY_ALL = 0.9
_AS_MANY = 0.95
_WORTH_NAMING = 0.05
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Following:
    """From which features wrong predictions follow, the one that most of them follow from first."""

    names: tuple[str, ...]
    cause: str
    """The first feature's; empty where its error is not recognised."""
    share: float
    """Of the wrong predictions: in rows whose features differ."""

    def says(self) -> str:
        return f"{percent(self.share)} of them in rows whose features differ: that follows from {self.named()}"

    def named(self) -> str:
        *others, last = self.names
        return f"{', '.join(others)} and {last}" if others else last


def following(wrong: NDArray[np.bool_], features: Sequence[Feature], rows: NDArray[np.int64]) -> Following | None:
    """None where more than a few predictions are wrong though all features agree. `rows`: of each row of the features,
    its place in `wrong`."""
    total = int(wrong.sum())
    differing = {feature.name: _at(rows[feature.differs], len(wrong)) & wrong for feature in features}
    anywhere = np.zeros(len(wrong), np.bool_)
    for those in differing.values():
        anywhere |= those
    share = float(anywhere.sum()) / max(1, total)
    if share < _NEARLY_ALL:
        return None
    own = [feature for feature in features if not feature.diagnosis.follows and differing[feature.name].any()]
    own = own or [feature for feature in features if differing[feature.name].any()]
    most = max(int(differing[feature.name].sum()) for feature in own)
    tied = [feature for feature in own if differing[feature.name].sum() >= _AS_MANY * most]
    first = worst(tied) or max(tied, key=lambda feature: int(differing[feature.name].sum()))
    named, left = [first.name], anywhere & ~differing[first.name]
    while len(named) < _MOST_NAMED and own:
        adds = {feature.name: int((differing[feature.name] & left).sum()) for feature in own}
        name = max(adds, key=lambda candidate: adds[candidate])
        if adds[name] < max(1.0, _WORTH_NAMING * total):
            break
        named.append(name)
        left = left & ~differing[name]
    return Following(tuple(named), first.diagnosis.cause, share)


def _at(rows: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    marked = np.zeros(count, np.bool_)
    marked[rows] = True
    return marked
