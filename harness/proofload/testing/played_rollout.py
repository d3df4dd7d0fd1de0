"""A canary rollout as it would have been recorded, without servers: what a driver and guards did, in a real run folder.

folder = Play(spoil).write(path, settings)
result = judge(RunRecord(folder))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.procedures._rollout.settings import RolloutSettings
from proofload.records import SAMPLE_DTYPE, Agreement, Event, Outcome
from proofload.store.folder import RunFolder, claim
from proofload.testing.synthetic_run import run_json

START = 7_000 * NS_PER_S
RATE, USERS = 400, 600
STAGES = (0.05, 0.25, 0.5, 1.0)
SECONDS = (12, 11, 9, 6)
BASELINE_S = 5
V1, V2, RESET = 1, 2, 3
"""Numbers of the two version stamps, and of an error."""

Rows = NDArray[np.void]
Spoil = Callable[[Rows, np.random.Generator], None]


@dataclass
class Play:
    """`spoil` may do anything to the requests."""

    spoil: Spoil | None = None
    rolled_at_s: float | None = None
    guard: str = "errors"
    users: bool = True
    complete: bool = True
    stages: int = 4
    retire: bool = True
    mirror: float = 0.1
    canary: dict[str, Any] | None = None
    wander: bool = False
    events: list[Event] = field(default_factory=list)

    def write(self, out: Path, settings: RolloutSettings) -> Path:
        run = run_json(RATE, 10.0, 1) | {"scenario": settings.model_dump(mode="json"), "canary": self.canary}
        folder = RunFolder(claim(out), run)
        rng = np.random.default_rng(5)
        place = rng.random(USERS)
        for kind, number, text in (("version", V1, "1.0"), ("version", V2, "0.9"), ("error", RESET, "reset")):
            folder.add_event(Event(START, "name", {"of": kind, "number": number, "text": text}))
        at = START
        self._phase(folder, 0, "warm-up", (at, 2.0), (rng, place), share=0.0, measured=False)
        at += 2 * NS_PER_S
        folder.add_event(Event(at, "driver", {"name": "client", "routed": False, "arm_header": ""}))
        self._move(folder, at, 0.0, "start")
        self._phase(folder, 1, "baseline", (at, BASELINE_S), (rng, place), share=0.0)
        at += BASELINE_S * NS_PER_S
        first = at
        for number, (stage, seconds) in enumerate(zip(STAGES[: self.stages], SECONDS, strict=False)):
            share = min(stage, 0.95)
            self._move(folder, at, share, f"stage {number + 1}")
            cut = self.rolled_at_s
            length = seconds + 0.2
            ends = first + round((cut or 1e6) * NS_PER_S)
            if at + round(length * NS_PER_S) > ends:
                length = (ends - at) / NS_PER_S
            self._phase(folder, 2 + number, f"canary {share:.0%}", (at, length), (rng, place), share=share)
            at += round(length * NS_PER_S)
            if at >= ends:
                folder.add_event(Event(at, "rollback", {"guard": self.guard, "reason": "seen"}))
                self._move(folder, at, 0.0, self.guard)
                folder.add_event(Event(at, "retire", {"arm": 1, "told_ns": at, "stops": True}))
                self._phase(folder, 9, "after", (at, 2.0), (rng, place), share=0.0, measured=False)
                break
        else:
            if self.retire:
                self._retire(folder, at, rng, place)
        for event in self.events:
            folder.add_event(event)
        if self.complete:
            folder.add_event(Event(at + 4 * NS_PER_S, "run-complete"))
        folder.close()
        if self.users:
            np.save(out / "users.npy", np.arange(USERS, dtype=np.int32))
        return out

    def _retire(self, folder: RunFolder, at: int, rng: np.random.Generator, place: NDArray[np.float64]) -> None:
        self._move(folder, at, 0.5, "hand-over")
        told = at + NS_PER_S // 2
        self._phase(folder, 8, "hand-over", (at, 1.0), (rng, place), share=0.5, measured=False, told=(0, told))
        folder.add_event(Event(told, "retire", {"arm": 0, "told_ns": told, "stops": True}))
        told += NS_PER_S
        end = told - NS_PER_S // 2
        self._phase(folder, 9, "close", (end, 0.5), (rng, place), share=1.0, measured=False, told=(1, told))
        folder.add_event(Event(told, "retire", {"arm": 1, "told_ns": told, "stops": True}))

    @staticmethod
    def _move(folder: RunFolder, at: int, share: float, why: str) -> None:
        detail = {"canary_share": share, "asked_ns": at, "done_ns": at + 1000, "why": why}
        folder.add_event(Event(at, "share", detail))

    def _phase(
        self,
        folder: RunFolder,
        index: int,
        name: str,
        when: tuple[int, float],
        crowd: tuple[np.random.Generator, NDArray[np.float64]],
        *,
        share: float,
        measured: bool = True,
        told: tuple[int, int] | None = None,
    ) -> None:
        (start, seconds), (rng, place) = when, crowd
        n = round(RATE * seconds)
        rows = np.zeros(n, SAMPLE_DTYPE)
        rows["seq"], rows["phase"], rows["payload"] = np.arange(n), index, rng.integers(0, USERS, n)
        rows["intended_ns"] = start + np.arange(n) * (NS_PER_S // RATE)
        rows["dispatched_ns"] = rows["sent_ns"] = rows["intended_ns"] + 20_000
        rows["done_ns"] = rows["sent_ns"] + rng.lognormal(np.log(4 * NS_PER_MS), 0.2, n).astype(np.int64)
        rows["status"], rows["version"], rows["outcome"], rows["attempts"] = 200, V1, Outcome.OK, 1
        user = rng.random(n) if self.wander else place[rows["payload"]]
        rows["arm"] = user < share
        if index == 0:
            rows["arm"] = np.arange(n) % 2
        if told is not None:  # ten requests are on their way when an arm is told to end
            flying = slice(0, 10)
            rows["arm"][flying] = told[0]
            rows["sent_ns"][flying] = told[1] - 10 * NS_PER_MS
            rows["intended_ns"][flying] = rows["dispatched_ns"][flying] = told[1] - 10 * NS_PER_MS
            rows["done_ns"][flying] = told[1] + 5 * NS_PER_MS
        if self.spoil is not None:
            self.spoil(rows, rng)
        copies = rows[rng.random(n) < self.mirror] if name.startswith("canary") else rows[:0]
        copies = copies.copy()
        copies["agrees"] = np.where(
            (copies["arm"] == 0) & (copies["outcome"] == Outcome.OK), Agreement.SAME, Agreement.NOT_COMPARED
        )
        copies["mirror"], copies["arm"] = 1, 1
        both = np.concatenate([rows, copies])
        detail = {"arrival": "constant", "rate_rps": RATE, "duration_s": seconds, "seed": 1, "start_ns": start}
        mirror = self.mirror if name.startswith("canary") else 0.0
        folder.add_event(
            Event(start, "phase", {"phase": index, "name": name, "measured": measured, "mirror": mirror} | detail)
        )
        folder.add_samples(both[np.argsort(both["intended_ns"], kind="stable")])
        folder.add_event(
            Event(start + round(seconds * NS_PER_S), "phase-planned", {"phase": index, "planned": len(both)})
        )
