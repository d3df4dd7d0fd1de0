"""Guards of a rollout on simulated requests: four stages of a quick run at 400 requests/s, decided by the real code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.frozen_baseline import usually_bad
from proofload.analysis.guard_margins import excess, tail_excess
from proofload.analysis.guards import MORE
from proofload.analysis.matching import first_bad, matched
from proofload.analysis.sequential import crossing, sign_path, threshold, wins_needed
from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.rollout import GUARDS as GUARDS_PART
from proofload.verdict.rollout import GuardSeen, guard_check

RATE, GUARDS, ALPHA = 400, 8, 0.001
PASSED = 0.01
"""Chance of passing what is as bad as the margin."""
STAGES = ((0.05, 6), (0.25, 13), (0.5, 14), (0.95, 5))
"""(share of the canary, seconds), as the quick scenario has them."""
LENGTH = sum(seconds for _, seconds in STAGES)
USERS = 1000
_CONTROL = 3
BASELINE_S = 5
GUARD_LIMIT = threshold(GUARDS, ALPHA * GUARDS_PART)
ERROR_MARGIN, TAIL_MARGIN, SLOWER_MARGIN = 0.01, 0.02, 0.1
"""As the quick scenario has them."""
_NEEDED = wins_needed(GUARD_LIMIT, len(STAGES))
Spans = Sequence[tuple[float, float]]
Seen = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Answers of one block: bad, on the canary, stage, block, user."""


@dataclass(frozen=True, slots=True)
class History:
    """What befalls both versions alike, and what befalls the canary alone."""

    rate: int = RATE
    users: int = USERS
    margin: float = ERROR_MARGIN
    usual: float = 0.0
    """Share of bad answers of either version."""
    added: float = 0.0
    """By how much more of the canary's answers are bad."""
    striking: float = 0.0
    """Share of the time in which all of the canary's answers fail, a fifth of a second at a time."""
    struck_users: float = 0.0
    """Share of users whom everything of the canary's fails."""
    slow_users: float = 0.0
    """Share of users who are always served slowly, whoever answers: each of their answers counts."""
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
        return self.failing_users + self.weak_users + self.struck_users > 0

    def decide(self, rng: np.random.Generator) -> Status:
        """What the whole check says of one guard."""
        signs, starts, seen = self.signs(rng)
        path = sign_path(signs, starts)
        bad, arm, window, block, user = (np.concatenate(part) for part in zip(*seen, strict=True))
        if self.control:  # a guard on latency: the stage in which the canary has nearly all is not compared
            fair = window < len(STAGES) - 1
            bad, arm, window, block, user = bad[fair], arm[fair], window[fair], block[fair], user[fair]
        kept = (bad, arm, window, block, user)
        worse = (
            tail_excess(*kept, margin=self.margin, longest=SLOWER_MARGIN, confidence=1 - PASSED)
            if self.margin == TAIL_MARGIN
            else excess(*kept, margin=self.margin, confidence=1 - PASSED)
        )
        n = int(arm.sum())
        found = GuardSeen(
            name="errors",
            log_e=float(path.max(initial=0.0)),
            limit=GUARD_LIMIT,
            tripped=crossing(path, GUARD_LIMIT) is not None,
            bad=int(bad[arm].sum()),
            n=n,
            blocks=len(signs),
            needed=_NEEDED,
            told="",
            excess=worse,
            margin=SLOWER_MARGIN if self.margin == TAIL_MARGIN and not worse.of_spells else self.margin,
            margin_key="",
        )
        return guard_check(found, ended_early=False).status

    def signs(self, rng: np.random.Generator) -> tuple[NDArray[np.int8], list[int], list[Seen]]:
        """One history, block by block: who did worse, the blocks that the stages begin with, and each answer."""
        rate, users = self.rate, self.users
        stalls = [self._stalls(rng, self.stall_every_s, self.stall_s) for _ in range(2)]
        bursts = [self._stalls(rng, self.burst_every_s, 0.2) for _ in range(2)]
        shared = self._stalls(rng, self.shared_every_s, 1.0)
        strikes = self._stalls(rng, 0.2 / self.striking if self.striking else 0.0, 0.4)
        known, fails, place = np.zeros(users, np.int64), rng.random(users) < self.failing_users, rng.random(users)
        chance = np.where(rng.random(users) < self.weak_users, 0.5, 0.0) + fails
        chance += rng.random(users) < self.slow_users
        struck_users = rng.random(users) < self.struck_users
        usual_bad = np.zeros(users, np.bool_)
        proven = np.zeros(users, np.bool_)
        before = [rng.random(rate) < self.usual for _ in range(_CONTROL)]
        if self.by_user or self.slow_users:  # five seconds of the baseline alone, as before every rollout
            early = rng.integers(0, users, BASELINE_S * rate)
            failed = rng.random(len(early)) < np.maximum(chance[early], self.usual)
            usual_bad = usually_bad(early, failed, users)
            proven[early[~failed]] = True
            if self.slow_users:
                before = np.array_split(failed[~usual_bad[early]], BASELINE_S)[-_CONTROL:]
        signs, starts, seen, level, now = [], [], [], 0.0, 0
        for window, (share, seconds) in enumerate(STAGES):
            starts.append(now)
            for _ in range(seconds):
                n = rng.poisson(rate)
                at = now + np.sort(rng.random(n))
                user = rng.integers(0, users, n)
                arm = place[user] < share
                level = 0.9 * level + 0.44 * rng.standard_normal()
                usual = min(0.9, self.usual * float(np.exp(self.drifting * level)))
                bad = rng.random(n) < usual
                if self.added:
                    bad |= arm & (rng.random(n) < self.added / (1 - self.usual))
                for side in (0, 1):
                    bad |= (arm == side) & _inside(at, stalls[side])
                    struck = (arm == side) & _inside(at, bursts[side])
                    bad |= struck & (rng.random(n) < 0.9) if struck.any() else struck
                bad |= _inside(at, shared)
                bad |= arm & (_inside(at, strikes) | struck_users[user])
                bad |= rng.random(n) < chance[user]
                counted = ~usual_bad[user]
                every = np.full(n, now)
                seen.append((bad[counted], arm[counted], every[counted] * 0 + window, every[counted], user[counted]))
                if self.by_user:
                    good = user[~bad]
                    bad = first_bad(user, bad & counted, known, proven[user])
                    proven[good] = True
                control = before[now % _CONTROL] if self.control and arm.mean() > MORE / (1 + MORE) else None
                signs.append(matched(bad[counted & arm], bad[counted & ~arm], control).sign)
                now += 1
        return np.array(signs, np.int8), starts, seen

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
        "identical, a fifth bad, swinging": History(usual=0.2, drifting=0.8, margin=SLOWER_MARGIN),
        "slow for 0.15 s on average, each version every 8 s": History(
            usual=0.005, stall_every_s=8.0, stall_s=0.3, margin=TAIL_MARGIN
        ),
        "stalls of up to 1 s, each version every 10 s": History(stall_every_s=10.0),
        "stalls of up to 1 s, each version every 4 s": History(stall_every_s=4.0),
        "stalls of both at once, every 4 s": History(shared_every_s=4.0),
        "bursts of failures, each version every 3 s": History(burst_every_s=3.0, control=False),
        "5 % of the users always fail": History(failing_users=0.05, control=False),
        "5 % of the users fail every other time": History(weak_users=0.05, control=False),
        "60 requests/s, 5 % of the users always fail": History(rate=60, failing_users=0.05, control=False),
        "20 users, one in ten always fails": History(rate=60, users=20, failing_users=0.1, control=False),
        "5 % of 200 users are always slow": History(users=200, usual=0.03, slow_users=0.05, margin=SLOWER_MARGIN),
        "1 % of the users always fail, bursts": History(failing_users=0.01, burst_every_s=5.0, control=False),
    }
    found = [Shape(name, "null", _decider(one), alpha=ALPHA) for name, one in null.items()]
    often = History(stall_every_s=2.0)
    why = "two blocks in a row are of one stall: with 1 s blocks their signs are no fair coins; block_s = 5 parts them"
    slow = History(usual=0.03, slow_users=0.05, margin=SLOWER_MARGIN)
    brief = "the baseline alone shows two answers of each user in five seconds: not enough to tell who is always slow"
    return [
        *found,
        Shape("stalls of up to 1 s, each version every 2 s", "apart", _decider(often), ALPHA, why=why),
        Shape("5 % of the users are always slow", "apart", _decider(slow), ALPHA, why=brief),
    ]


def _harmful() -> list[Shape]:
    found = []
    for share in (0.01, 0.02, 0.03, 0.05, 0.1):
        for name, usual, control, margin, sure in (
            ("errors", 0.0, False, ERROR_MARGIN, 0.02),
            ("slow tail", 0.0005, True, TAIL_MARGIN, 0.03),
        ):
            if share >= margin:  # what is tolerated may pass
                history = History(added=share, usual=usual, control=control, margin=margin)
                found.append(_effect(f"{name} on {share:.1%}", history, share, sure=share >= sure, curve=name))
    for share in (0.1, 0.2, 0.4, 0.8):
        history = History(added=share, usual=0.2, margin=SLOWER_MARGIN)
        found.append(
            _effect(f"slower than the median: {share:.0%} more", history, share, sure=share >= 0.4, curve="median")
        )
    for rate, share in ((30, 0.03), (30, 0.1), (60, 0.01), (60, 0.03), (60, 0.1)):
        history = History(rate=rate, added=share, control=False)
        found.append(_effect(f"{rate} requests/s, errors on {share:.0%}", history, share, curve=f"{rate}/s"))
    others = {
        "errors from 1 % to 2 %": History(usual=0.01, added=0.01, control=False),
        "20 users at 60 requests/s, errors on 5 %": History(rate=60, users=20, added=0.05, control=False),
        "errors 5 % of the time, a fifth of a second each": History(striking=0.05, control=False),
        "5 % of 200 users fail on the canary alone": History(users=200, struck_users=0.05, control=False),
    }
    return [*found, *(_effect(name, one, one.added or 0.05) for name, one in others.items())]


def _effect(name: str, history: History, magnitude: float, *, sure: bool = False, curve: str = "") -> Shape:
    detect = 0.99 if sure else None
    return Shape(name, "effect", history.decide, PASSED, magnitude=magnitude, detect=detect, curve=curve)


def _decider(history: History) -> Callable[[np.random.Generator], Status]:
    return history.decide


def _inside(at: NDArray[np.float64], spans: Spans) -> NDArray[np.bool_]:
    found = np.zeros(len(at), np.bool_)
    for start, end in spans:
        if start < at[-1] and end > at[0]:
            found |= (at > start) & (at < end)
    return found
