"""What happened in a rollout, read from its run folder: moves, the rollback, who was told to end and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.procedures import Evidence
from proofload.procedures._rollout.guarding import Deployed
from proofload.procedures._rollout.moving import FORCED, NEVER_STARTED, RETIRE, ROLLBACK, SHARE
from proofload.target_model import Target
from proofload.workloads.payloads import Payloads

_NOBODY = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Move:
    """The canary's share from an instant on."""

    share: float
    asked_ns: int
    done_ns: int
    why: str
    applied_ns: int = 0
    """When the load generator itself followed, where it is it that splits."""

    @property
    def is_stage(self) -> bool:
        return self.why.startswith("stage ")


@dataclass(frozen=True, slots=True)
class Rolled:
    """A rollback: when a guard tripped, and which."""

    t_ns: int
    guard: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retired:
    """An arm that was told to end. `stops`: whether the lab could."""

    arm: int
    told_ns: int
    stops: bool


@dataclass(frozen=True, slots=True)
class Story:
    """The events of one rollout."""

    moves: tuple[Move, ...]
    rolled: Rolled | None
    retired: tuple[Retired, ...]
    never_started: str
    """What became of the canary's start, where it did not come up; else empty."""
    its_last_words: str
    """What is known of why: the end of its log, say."""
    routed: bool
    forced: tuple[int, ...]
    mirrored: bool
    stamped: bool = False
    """Whether only stamps tell who answered."""

    @property
    def stages(self) -> tuple[Move, ...]:
        return tuple(move for move in self.moves if move.is_stage)

    def spans(self) -> list[tuple[Move, int]]:
        """Each stage that began, and the instant at which the share moved next (or far away)."""
        after = [move.asked_ns for move in self.moves[1:]] + [2**62]
        return [(move, end) for move, end in zip(self.moves, after, strict=True) if move.is_stage]


def story_of(evidence: Evidence) -> Story:
    """Works on a run that was cut short, too."""
    moves: list[Move] = []
    rolled: Rolled | None = None
    retired: list[Retired] = []
    never, words, routed, forced, mirrored, stamped = "", "", False, (), False, False
    for event in evidence.events:
        detail = event.detail
        match event.kind:
            case kind if kind == SHARE:
                moves.append(Move(detail["canary_share"], detail["asked_ns"], detail["done_ns"], detail["why"]))
            case kind if kind == ROLLBACK and rolled is None:
                rolled = Rolled(event.t_ns, detail["guard"], detail["reason"])
            case kind if kind == RETIRE:
                retired.append(Retired(detail["arm"], detail["told_ns"], detail["stops"]))
            case kind if kind == NEVER_STARTED:
                never, words = str(detail["what"]), str(detail.get("evidence") or "").strip()
            case kind if kind == FORCED:
                forced = tuple(detail["payloads"])
            case "driver":
                routed = bool(detail["routed"])
                stamped = routed and not detail["arm_header"]
            case "phase":
                mirrored |= detail.get("mirror", 0.0) > 0
            case _:
                pass
    moves = [replace(move, applied_ns=_applied(evidence, move)) for move in moves]
    return Story(tuple(moves), rolled, tuple(retired), never, words, routed, forced, mirrored, stamped)


def _applied(evidence: Evidence, move: Move) -> int:
    """The last engine process's word that it follows a move; 0 where none said so."""
    said = [
        event.t_ns
        for event in evidence.events
        if event.kind == "split"
        and event.t_ns >= move.asked_ns
        and abs(float(event.detail["shares"].get("1", 0.0)) - move.share) < 1e-9
    ]
    return max((t for t in said if t < min(said) + NS_PER_S), default=0)


def known_before(
    baseline: Target,
    canary: Target,
    *,
    canary_version: str | None,
    same: bool,
    answers_checked: bool,
    mirrored: bool,
    payloads: Payloads | None,
    forced: Sequence[int],
    stamped: bool,
) -> Deployed:
    """For the live watch."""
    return Deployed(
        canary_version=canary.response.expected_version or canary_version,
        baseline_version=baseline.response.expected_version,
        same=same,
        answers_checked=answers_checked,
        mirrored=mirrored,
        users=_numbered(payloads),
        forced=forced,
        stamped=stamped,
    )


def known_afterwards(evidence: Evidence, story: Story, canary_version: str | None) -> Deployed:
    """The same, from the run folder."""
    run = evidence.run
    baseline, canary = run["target"], run.get("canary")
    users = evidence.users()
    return Deployed(
        canary_version=_expected(canary or baseline) or canary_version,
        baseline_version=_expected(baseline),
        same=canary is None or canary["name"] == baseline["name"],
        answers_checked=bool(run["payloads"]["with_expectation"]),
        mirrored=story.mirrored,
        users=_NOBODY if users is None else users.astype(np.int64),
        forced=story.forced,
        stamped=story.stamped,
    )


def _expected(target: Mapping[str, Any]) -> str | None:
    version = target.get("response", {}).get("expected_version")
    return None if version is None else str(version)


def _numbered(payloads: Payloads | None) -> NDArray[np.int64]:
    if payloads is None or not any(payloads.users):
        return _NOBODY
    numbers: dict[str, int] = {}
    return np.array(
        [-1 if user is None else numbers.setdefault(user, len(numbers)) for user in payloads.users], np.int64
    )
