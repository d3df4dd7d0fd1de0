"""A/B tests on simulated users: heavy users, stalls of one arm, users whom everything fails, slow drifts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.arm_difference import Shown, user_means
from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.ab_test import Question, at_every_look, at_the_end, first_settled
from proofload.verdict.experiment import Direction

_USERS = 500
_REQUESTS = 2000
_STRETCHES = 20
_STRICT, _USUAL = 0.001, 0.01
_BOUNDARY = 0.01
"""The error rate of a fail in shapes that lie exactly on the margin: one in a thousand could not be counted."""
Decide = Callable[[Shown, Question], Status]


def create() -> AbTest:
    return AbTest()


class AbTest:
    """See `proofload.selftest.Trial`."""

    scenario = "ab-test"
    decides = "the canary's metric is worse than the baseline's by more than the margin"

    def shapes(self) -> Sequence[Shape]:
        return [
            shape for name, decide in (("fixed", _fixed), ("sequential", _sequential)) for shape in _of(name, decide)
        ]


def _of(name: str, decide: Decide) -> list[Shape]:
    exact, strict = _BOUNDARY, _STRICT

    def shape(what: str, kind: str, history: _History, alpha: float, **more: object) -> Shape:
        def one(rng: np.random.Generator) -> Status:
            shown, before = history.drawn(rng)
            question = Question(
                history.margin, history.direction, alpha, _USUAL, medians=history.medians, before=before
            )
            return decide(shown, question)

        return Shape(f"{name}: {what}", kind, one, alpha=alpha, **more)  # type: ignore[arg-type]  # by keyword

    shapes = [
        shape("no difference, heavy users", "null", _History(0.0), strict),
        shape("one arm stalls", "null", _History(0.0, stalls=0.15), strict),
        shape("slow drift of both arms", "null", _History(0.0, drift=1.0), strict),
        shape("users whom everything fails", "null", _History(0.0, shares=True, hopeless=0.05), strict),
        shape("medians, one arm stalls", "null", _History(0.0, stalls=0.15, medians=True), strict),
        shape("either direction, known users", "null", _History(0.0, direction="same", known=0.8), strict),
        shape("hardly anything fails, margin exceeded", "effect", _History(2.0, shares=True, rare=True), _USUAL),
        shape("exactly the margin", "null", _History(1.0), exact),
        shape("exactly the margin, one arm stalls", "null", _History(1.0, stalls=0.15), exact),
        shape("exactly the margin, users of one request", "null", _History(1.0, heavy=False), exact),
    ]
    shapes += [
        Shape(f"{name}: interval, {what}", "coverage", _covering(decide, history), alpha=2 * _USUAL)
        for what, history in (
            ("heavy users", _History(0.7)),
            ("one arm stalls", _History(0.7, stalls=0.15)),
            ("medians", _History(0.7, medians=True)),
        )
    ]
    for magnitude in (1.5, 2.0, 3.0, 4.0):
        detect = 0.99 if magnitude == _DETECTED[name] else None
        shapes.append(
            shape(
                f"worse by {magnitude:g} margins",
                "effect",
                _History(magnitude),
                strict,
                magnitude=magnitude,
                detect=detect,
                curve=f"{name}: mean over users",
            )
        )
    return shapes


_DETECTED = {"fixed": 3.0, "sequential": 3.0}


def _fixed(shown: Shown, question: Question) -> Status:
    return at_the_end(shown, question).ruling.status


def _sequential(shown: Shown, question: Question) -> Status:
    look = first_settled(shown, question)
    return Status.INCONCLUSIVE if look is None else look.ruling.status


def _covering(decide: Decide, history: _History) -> Callable[[np.random.Generator], Status]:
    """Whether bounds of one in a hundred each held the truth: at the end, or at every look."""

    def one(rng: np.random.Generator) -> Status:
        shown, before = history.drawn(rng)
        question = history.question(_USUAL, before)
        looks = [at_the_end(shown, question)] if decide is _fixed else list(at_every_look(shown, question))
        held = all(look.ruling.low <= history.truth <= look.ruling.high for look in looks)
        return Status.PASS if held else Status.FAIL

    return one


class _History:
    """`effect` in margins. The margin is what the fixed test is planned for: users' means have a spread of 1."""

    margin = 0.5

    def __init__(
        self,
        effect: float,
        *,
        stalls: float = 0.0,
        drift: float = 0.0,
        hopeless: float = 0.0,
        known: float = 0.0,
        shares: bool = False,
        rare: bool = False,
        medians: bool = False,
        heavy: bool = True,
        direction: Direction = "lower",
    ) -> None:
        self.direction: Direction = "higher" if shares else direction
        self.medians = medians
        if shares:
            self.margin = 0.05
        self._effect = effect
        self._stalls, self._drift, self._hopeless, self._known = stalls, drift, hopeless, known
        self._shares, self._rare, self._heavy = shares, rare, heavy

    def question(self, alpha: float, before: NDArray[np.float64] | None) -> Question:
        return Question(
            self.margin, self.direction, alpha, _USUAL, medians=self.medians, shares=self._shares, before=before
        )

    @property
    def truth(self) -> float:
        """The difference that the history is drawn with."""
        return self._effect * self.margin

    def drawn(self, rng: np.random.Generator) -> tuple[Shown, NDArray[np.float64] | None]:
        user = self._visits(rng)
        side = rng.integers(0, 2, _USERS)
        stretch = np.sort(rng.integers(0, _STRETCHES, len(user)))
        arm = side[user]
        level = rng.normal(0.0, 0.7, _USERS)
        if self._shares:
            always = rng.random(_USERS) < self._hopeless
            least = (1.0 if self._rare else 0.99) - self._effect * self.margin * arm
            values = np.where(always[user], 0.0, rng.random(len(user)) < least).astype(np.float64)
            return Shown(values, arm, user, stretch), None
        values = level[user] + rng.normal(0.0, 0.7, len(user)) + self._effect * self.margin * arm
        if self._drift:
            values += self._drift * np.sin(2 * np.pi * (stretch / _STRETCHES + rng.random()))
        if self._stalls:
            stalled = rng.random((2, _STRETCHES)) < self._stalls
            values += np.where(stalled[arm, stretch], rng.exponential(1.0, (2, _STRETCHES))[arm, stretch], 0.0)
        before = None
        if self._known:
            seen = user_means(values - self._effect * self.margin * arm, user, _USERS)
            before = seen + rng.normal(0.0, 1.0 - self._known, _USERS)
        return Shown(values, arm, user, stretch), before

    def _visits(self, rng: np.random.Generator) -> NDArray[np.int64]:
        if not self._heavy:
            return rng.permutation(_USERS).astype(np.int64)
        weight = rng.pareto(1.5, _USERS) + 0.05
        return rng.choice(_USERS, _REQUESTS, p=weight / weight.sum()).astype(np.int64)
