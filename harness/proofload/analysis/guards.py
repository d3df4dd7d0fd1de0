"""Guards of a rollout, fed with requests as they become final: one e-value each, moved on by every block of time.

The same object serves the live watch and the judgement afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.frozen_baseline import Reference
from proofload.analysis.guard_rules import (
    ANSWERED,
    DOWN,
    PREDICTIONS,
    SLOWER,
    VERSION,
    Rules,
    by_stamp,
    flags,
    own_requests,
    pairs,
    stamps,
)
from proofload.analysis.matching import Match, first_bad, matched
from proofload.analysis.sequential import Path, crossing, share_path, sign_path
from proofload.clock import NS_PER_S
from proofload.records import SAMPLE_DTYPE, Samples

DOWN_BLOCKS = 3
DOWN_REQUESTS = 6
MORE = 1.5
"""With so many times the baseline's requests the canary is compared with the baseline at full load besides."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of time: what each guard saw. `counts`: (canary's bad, canary's all) of guards on shares."""

    start_ns: int
    window: int
    matches: Mapping[str, Match]
    counts: Mapping[str, tuple[int, int]]
    sent: int
    """Requests of users to the canary, how many of them it answered, and the baseline's share of answers."""
    answered: int
    baseline_answers: float


@dataclass(slots=True)
class _Window:
    start_ns: int
    end_ns: int | None = None
    next_ns: int = 0


@dataclass(slots=True)
class GuardWatch:
    """`begin` a window whenever the share has moved, `add` requests in any order that keeps each worker's.

    Blocks that are not whole within one window count for nothing.
    """

    rules: Rules
    reference: Reference
    users: NDArray[np.int64]
    """The user of each payload, -1: none named."""
    workers: int = 1
    stamped: bool = False
    """Whether stamps tell who answered."""
    blocks: list[Block] = field(default_factory=list)
    _windows: list[_Window] = field(default_factory=list)
    _current: int = 0
    _waiting: list[NDArray[np.void]] = field(default_factory=list)
    _seen_ns: dict[int, int] = field(default_factory=dict)
    _known: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    _fine: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def begin(self, start_ns: int) -> None:
        """The share moved; blocks are counted from here."""
        self.end(start_ns)
        self._windows.append(_Window(start_ns, next_ns=start_ns))

    def end(self, end_ns: int) -> None:
        """The share is about to move: no block reaches beyond."""
        if self._windows and self._windows[-1].end_ns is None:
            self._windows[-1].end_ns = end_ns

    def add(self, samples: Samples) -> bool:
        """Take requests that are final; says whether a block was completed."""
        table = by_stamp(samples.table, self.rules.versions) if self.stamped else samples.table
        if len(table):
            self._waiting.append(table)
            workers = table["worker"]
            for worker in np.unique(workers):
                latest = int(table["intended_ns"][workers == worker].max())
                self._seen_ns[int(worker)] = max(self._seen_ns.get(int(worker), 0), latest)
        if len(self._seen_ns) < self.workers:
            return False
        return self._advance(min(self._seen_ns.values()))

    def close(self) -> None:
        """Nothing more comes: what is whole by now is counted."""
        if self._seen_ns:
            self._advance(max(self._seen_ns.values()))

    def paths(self) -> dict[str, Path]:
        """Log e-values of every guard after each block."""
        starts = self.starts()
        found = {}
        for guard in self.rules.sign_guards:
            signs = np.array([block.matches[guard].sign for block in self.blocks], np.int8)
            found[guard] = sign_path(signs, starts)
        for guard in self.rules.share_guards:
            counts = np.array([block.counts[guard] for block in self.blocks], np.int64).reshape(-1, 2)
            found[guard] = share_path(counts[:, 0], counts[:, 1], self.rules.disagreement)
        return found

    def starts(self) -> list[int]:
        """The block that each stage begins with; stages still to come begin beyond the last block."""
        windows = [block.window for block in self.blocks]
        return [int(np.searchsorted(windows, stage)) for stage in range(self.rules.stages)]

    def tripped(self) -> dict[str, int]:
        """The guards that have reached their limit, and after which block; the canary being down among them."""
        limit = self.rules.limit
        found = {name: at for name, path in self.paths().items() if (at := crossing(path, limit)) is not None}
        down = self._down()
        return found if down is None else {**found, DOWN: down}

    def _advance(self, seen_ns: int) -> bool:
        length = round(self.rules.block_s * NS_PER_S)
        before = len(self.blocks)
        while self._current < len(self._windows):
            window = self._windows[self._current]
            until = window.next_ns + length
            if window.end_ns is not None and until > window.end_ns:
                self._current += 1
                continue
            if until > seen_ns:
                break
            self._count(self._current, window.next_ns, until)
            window.next_ns = until
        return len(self.blocks) > before

    def _count(self, window: int, start_ns: int, until_ns: int) -> None:
        table = np.concatenate(self._waiting) if self._waiting else np.zeros(0, SAMPLE_DTYPE)
        due = table["intended_ns"]
        rows = table[(due >= start_ns) & (due < until_ns)]
        rows = rows[np.argsort(rows["intended_ns"], kind="stable")]
        self._waiting = [table[due >= until_ns]]
        self.blocks.append(self._block(window, start_ns, rows))

    def _block(self, window: int, start_ns: int, rows: NDArray[np.void]) -> Block:
        own = own_requests(rows, self.rules.forced)
        arm = own["arm"] == 1
        user = self.users[own["payload"]] if len(self.users) else np.full(len(own), -1)
        before = self.reference.blocks
        loaded = np.count_nonzero(arm) > MORE * np.count_nonzero(~arm)  # then it may be slower for that alone
        control = before[len(self.blocks) % len(before)] if before and loaded else {}
        matches = {}
        for guard in self.rules.sign_guards:
            counted, bad = flags(own, guard, self.reference.slower_ns, self.rules.versions)
            usual = self.reference.usual.get(guard)
            if usual is not None and len(usual):
                counted = counted & ~((user >= 0) & usual[user])
            if guard not in SLOWER:
                known = self._known.setdefault(guard, np.zeros(int(self.users.max(initial=-1)) + 1, np.int64))
                proven = self._proven(guard)
                good = own["payload"][counted & ~bad]
                bad = first_bad(user, bad & counted, known, proven[own["payload"]] if len(proven) else None)
                if len(proven):
                    proven[good] = True
            matches[guard] = matched(bad[counted & arm], bad[counted & ~arm], control.get(guard))
        answered = np.isin(own["outcome"], ANSWERED)
        there = answered[~arm]
        return Block(
            start_ns=start_ns,
            window=window,
            matches=matches,
            counts={
                PREDICTIONS: pairs(rows),
                VERSION: stamps(own[arm & answered], self.rules.versions[1]),
            },
            sent=int(np.count_nonzero(arm)),
            answered=int(np.count_nonzero(arm & answered)),
            baseline_answers=float(there.mean()) if len(there) else 0.0,
        )

    def _proven(self, guard: str) -> NDArray[np.bool_]:
        """Payloads that have been answered well so far, in a guard's eyes."""
        if guard not in self._fine:
            before = self.reference.proven.get(guard)
            self._fine[guard] = np.zeros(len(self.users), np.bool_) if before is None else before.copy()
        return self._fine[guard]

    def _down(self) -> int | None:
        """The block after which the canary had answered nothing for three, though the baseline answered."""
        silent = sent = 0
        for number, block in enumerate(self.blocks):
            is_silent = block.sent > 0 and not block.answered and block.baseline_answers >= 0.9
            if is_silent:
                silent, sent = silent + 1, sent + block.sent
            elif block.sent:
                silent = sent = 0
            if silent >= DOWN_BLOCKS and sent >= DOWN_REQUESTS:
                return number
        return None
