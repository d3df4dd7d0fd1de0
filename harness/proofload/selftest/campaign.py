"""The simulated level: every shape of every trial, spread over processes, in parts that can be taken up again."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from proofload.discovery import implementations
from proofload.errors import Unavailable
from proofload.records import Status
from proofload.selftest import Shape, Trial
from proofload.selftest.simulated import Tally, tally

_ENOUGH = 50
"""Expected false alarms below which a bound is too wide to say that a rate is exceeded."""
_PART = 500
"""Histories decided about in one go by one process."""
SLACK = 1.3
"""An upper bound of a false-alarm rate may exceed the stated rate by this factor, for want of more histories."""


@dataclass(frozen=True, slots=True)
class Trialled:
    """One shape's tally, with the trial it belongs to."""

    scenario: str
    decides: str
    trial: str
    tally: Tally

    @property
    def kept(self) -> bool | None:
        """Whether the stated rates were kept; None: none is stated, or there were too few histories to tell."""
        shape, seen = self.tally.shape, self.tally
        if shape.kind in {"null", "coverage"} and shape.alpha is not None:
            return self._kept(Status.FAIL, shape.alpha)
        if shape.kind == "effect" and (shape.detect is not None or shape.alpha is not None):
            found = shape.detect is None or seen.share(Status.FAIL) >= shape.detect
            kept = True if shape.alpha is None else self._kept(Status.PASS, shape.alpha)
            return kept if found else False
        return None

    def _kept(self, wrong: Status, alpha: float) -> bool | None:
        """Whether the upper bound of a wrong verdict's share is near enough to the stated one; None: too few."""
        seen = self.tally
        if seen.upper(wrong) <= SLACK * alpha:
            return True
        return None if seen.share(wrong) <= alpha and seen.histories < _ENOUGH / alpha else False


def trials(scenario: str | None = None) -> dict[str, Trial]:
    """All trials by name, or those of one scenario. Raises Unavailable when one cannot be loaded: a self-test
    that leaves something out unasked would look better than it is."""
    found: dict[str, Trial] = {}
    for name, one in implementations("trial").items():
        if one.module is None:
            raise Unavailable(f"the trial {name} cannot be loaded", evidence=one.reason)
        trial: Trial = one.module.create()
        if scenario is None or trial.scenario == scenario:
            found[name] = trial
    return found


def campaign(
    chosen: dict[str, Trial], histories: int, *, seed: int, told: Callable[[str, int, int], None]
) -> Iterator[Trialled]:
    """Decide about `histories` histories of every shape. `told(trial, done, of)` hears of the progress, in shapes.

    The outcome depends on the seed and on nothing else: not on the number of processes, nor on their order.
    """
    shapes = [(name, trial, shape) for name, trial in chosen.items() for shape in trial.shapes()]
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for number, (name, trial, shape) in enumerate(shapes):
            told(name, number, len(shapes))
            parts = [(name, shape.name, first, min(_PART, histories - first), seed)
                     for first in range(0, histories, _PART)]  # fmt: skip
            counted = pool.starmap(_part, parts, chunksize=1)
            yield Trialled(trial.scenario, trial.decides, name, _together(shape, counted))


def _part(trial: str, shape: str, first: int, count: int, seed: int) -> dict[Status, int]:
    """One part, in a process of its own; shapes hold functions and so do not travel."""
    module = implementations("trial")[trial].module
    assert module is not None  # `trials` loaded it before
    [found] = [one for one in module.create().shapes() if one.name == shape]
    return tally(found, count, seed=seed, first=first).counts


def _together(shape: Shape, parts: Sequence[dict[Status, int]]) -> Tally:
    counts: dict[Status, int] = {}
    for part in parts:
        for status, count in part.items():
            counts[status] = counts.get(status, 0) + count
    return Tally(shape, sum(counts.values()), counts)
