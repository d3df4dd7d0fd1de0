"""Guards of a rollout on simulated requests: four stages of a quick run at 400 requests/s, decided by the real code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.guards import MORE
from proofload.analysis.matching import first_bad, matched
from proofload.analysis.sequential import crossing, sign_path, threshold
from proofload.records import Status
from proofload.selftest import Shape

RATE, GUARDS, ALPHA = 400, 8, 0.001
STAGES = ((0.05, 6), (0.25, 13), (0.5, 14), (0.95, 5))
"""(share of the canary, seconds), as the quick scenario has them."""
LENGTH = sum(seconds for _, seconds in STAGES)
USERS = 1000
_CONTROL = 3
BASELINE_S = 5
_GUARD_LIMIT = threshold(GUARDS, ALPHA)
Spans = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class History:
    """What befalls both versions alike, and what befalls the canary alone."""

    usual: float = 0.0
    """Share of bad answers of either version."""
    added: float = 0.0
    """Share of the canary's answers that are bad besides."""
    stall_every_s: float = 0.0
    """Mean time between stalls of each version, 0: none; they last up to `stall_s`, all answers in them are bad."""
    stall_s: float = 1.0
    burst_every_s: float = 0.0
    """Mean time between bursts that strike whichever version they please: a fifth of a second, nine of ten bad."""
    shared_every_s: float = 0.0
    """Mean time between stalls that strike both versions at once."""
    failing_users: float = 0.0
    """Share of users whom everything fails."""
    weak_users: float = 0.0
    """Share of users of whose requests every other fails, whoever answers."""
    drifting: float = 0.0
    """How far the usual share swings, slowly, as a multiple of itself (AR(1) by the second, 0.9)."""
    control: bool = True
    """Whether the guard also looks back at the baseline alone, as those on latency do."""

    @property
    def by_user(self) -> bool:
        return self.failing_users + self.weak_users > 0

    def decide(self, rng: np.random.Generator) -> Status:
        path = sign_path(*self.signs(rng))
        return Status.PASS if crossing(path, _GUARD_LIMIT) is None else Status.FAIL

    def signs(self, rng: np.random.Generator) -> tuple[NDArray[np.int8], list[int]]:
        """One history, block by block: who did worse, and the blocks that the stages begin with."""
        stalls = [self._stalls(rng, self.stall_every_s, self.stall_s) for _ in range(2)]
        bursts = [self._stalls(rng, self.burst_every_s, 0.2) for _ in range(2)]
        shared = self._stalls(rng, self.shared_every_s, 1.0)
        known, fails, place = np.zeros(USERS, np.int64), rng.random(USERS) < self.failing_users, rng.random(USERS)
        chance = np.where(rng.random(USERS) < self.weak_users, 0.5, 0.0) + fails
        usual_bad = np.zeros(USERS, np.bool_)
        proven = np.zeros(USERS, np.bool_)
        if self.by_user:  # five seconds of the baseline alone, as before every rollout
            early = rng.integers(0, USERS, BASELINE_S * RATE)
            failed = rng.random(len(early)) < np.maximum(chance[early], self.usual)
            usual_bad[early[failed]] = True
            proven[early[~failed]] = True
        before = [rng.random(RATE) < self.usual for _ in range(_CONTROL)]
        signs, starts, level, now = [], [], 0.0, 0
        for share, seconds in STAGES:
            starts.append(now)
            for _ in range(seconds):
                n = rng.poisson(RATE)
                at = now + np.sort(rng.random(n))
                user = rng.integers(0, USERS, n)
                arm = place[user] < share
                level = 0.9 * level + 0.44 * rng.standard_normal()
                usual = min(0.9, self.usual * float(np.exp(self.drifting * level)))
                bad = rng.random(n) < usual
                if self.added:
                    bad |= arm & (rng.random(n) < self.added)
                for side in (0, 1):
                    bad |= (arm == side) & _inside(at, stalls[side])
                    struck = (arm == side) & _inside(at, bursts[side])
                    bad |= struck & (rng.random(n) < 0.9) if struck.any() else struck
                bad |= _inside(at, shared)
                counted = np.ones(n, np.bool_)
                if self.by_user:
                    bad |= rng.random(n) < chance[user]
                    good = user[~bad]
                    counted = ~usual_bad[user]
                    bad = first_bad(user, bad & counted, known, proven[user])
                    proven[good] = True
                control = before[now % _CONTROL] if self.control and arm.mean() > MORE / (1 + MORE) else None
                signs.append(matched(bad[counted & arm], bad[counted & ~arm], control).sign)
                now += 1
        return np.array(signs, np.int8), starts

    @staticmethod
    def _stalls(rng: np.random.Generator, every_s: float, longest_s: float) -> Spans:
        if not every_s:
            return ()
        at = rng.random(rng.poisson(LENGTH / every_s)) * LENGTH
        return [(one, one + length) for one, length in zip(at, rng.uniform(0.0, longest_s, len(at)), strict=True)]


def create() -> CanaryGuards:
    return CanaryGuards()


class CanaryGuards:
    """See `proofload.selftest.Trial`."""

    scenario = "canary-rollback"
    decides = "the canary does worse than the baseline (errors, latency), eight guards sharing α"

    def shapes(self) -> Sequence[Shape]:
        return (*_harmless(), *_harmful())


def _harmless() -> list[Shape]:
    null = {
        "identical, nothing bad": History(),
        "identical, 0.5 % bad": History(usual=0.005),
        "identical, a fifth bad, swinging": History(usual=0.2, drifting=0.8),
        "stalls of up to 1 s, each version every 10 s": History(stall_every_s=10.0),
        "stalls of up to 1 s, each version every 4 s": History(stall_every_s=4.0),
        "stalls of both at once, every 4 s": History(shared_every_s=4.0),
        "bursts of failures, each version every 3 s": History(burst_every_s=3.0, control=False),
        "5 % of the users always fail": History(failing_users=0.05, control=False),
        "5 % of the users fail every other time": History(weak_users=0.05, control=False),
        "1 % of the users always fail, bursts": History(failing_users=0.01, burst_every_s=5.0, control=False),
    }
    found = [Shape(name, "null", _decider(one), alpha=ALPHA) for name, one in null.items()]
    often = History(stall_every_s=2.0)
    why = "two blocks in a row are of one stall: with 1 s blocks their signs are no fair coins; block_s = 5 parts them"
    return [*found, Shape("stalls of up to 1 s, each version every 2 s", "apart", _decider(often), ALPHA, why=why)]


def _harmful() -> list[Shape]:
    found = []
    for share in (0.005, 0.01, 0.02, 0.03, 0.05, 0.1):
        detect = 0.99 if share >= 0.02 else None
        for name, usual, control in (("errors", 0.0, False), ("slow tail", 0.0005, True)):
            found.append(
                Shape(
                    f"{name} on {share:.1%}",
                    "effect",
                    _decider(History(added=share, usual=usual, control=control)),
                    magnitude=share,
                    detect=detect,
                    curve=name,
                )
            )
    for share in (0.1, 0.2, 0.4, 0.8):
        name, history = f"slower than the median: {share:.0%} more", History(added=share, usual=0.2)
        detect = 0.99 if share >= 0.4 else None
        found.append(Shape(name, "effect", _decider(history), magnitude=share, detect=detect, curve="median"))
    from_one = History(usual=0.01, added=0.01, control=False)
    found.append(Shape("errors from 1 % to 2 %", "effect", _decider(from_one), magnitude=0.01, curve="from 1 %"))
    return found


def _decider(history: History) -> Callable[[np.random.Generator], Status]:
    return history.decide


def _inside(at: NDArray[np.float64], spans: Spans) -> NDArray[np.bool_]:
    found = np.zeros(len(at), np.bool_)
    for start, end in spans:
        if start < at[-1] and end > at[0]:
            found |= (at > start) & (at < end)
    return found
