"""Everything that was not ok, by kind, with examples of what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from proofload.clock import NS_PER_S
from proofload.records import Event, Outcome, Samples
from proofload.report.text import printable, printable_block

MAX_KINDS = 40
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """One kind: outcome, what the transport called it, the peer's status (-1: none), how often and when."""

    outcome: str
    kind: str
    status: int
    measured: int
    """How many in the phases an SLO binds, their warm-up included; the rest were in search steps and warm-ups."""
    elsewhere: int
    first_s: float
    last_s: float
    examples: tuple[str, ...] = ()


class Failures:
    """Collects phases; `found` lists the kinds, the most frequent first. Instants count from `start_ns`."""

    def __init__(self, names: Mapping[tuple[str, int], str], start_ns: int) -> None:
        self._names = names
        self._start_ns = start_ns
        self._rows: dict[tuple[int, int, int], list[float]] = {}
        self.versions: dict[str, int] = {}

    def add(self, samples: Samples, *, measured: bool) -> None:
        outcome = samples.outcome
        table = samples.table
        stamps = np.bincount(table["version"])
        for index in np.flatnonzero(stamps).tolist():
            if index:
                name = printable(self._names.get(("version", index), f"version {index}"))
                self.versions[name] = self.versions.get(name, 0) + int(stamps[index])
        bad = np.flatnonzero(outcome != Outcome.OK)
        if not len(bad):
            return
        code = (
            (outcome[bad].astype(np.int64) << 48)
            | (table["error"][bad].astype(np.int64) << 32)
            | (table["status"][bad].astype(np.int64) & 0xFFFFFFFF)
        )
        kinds, which, counts = np.unique(code, return_inverse=True, return_counts=True)
        done = table["done_ns"][bad]
        ended = (np.where(done > 0, done, table["intended_ns"][bad]) - self._start_ns) / NS_PER_S
        first, last = np.full(len(kinds), np.inf), np.full(len(kinds), -np.inf)
        np.minimum.at(first, which, ended)
        np.maximum.at(last, which, ended)
        for index, kind in enumerate(kinds.tolist()):
            key = (kind >> 48, (kind >> 32) & 0xFFFF, int(np.int32(np.uint32(kind & 0xFFFFFFFF))))
            row = self._rows.setdefault(key, [0, 0, np.inf, -np.inf])
            row[0 if measured else 1] += int(counts[index])
            row[2], row[3] = min(row[2], first[index]), max(row[3], last[index])

    def found(self, events: Iterable[Event]) -> tuple[Failure, ...]:
        examples = _examples(events)
        rows = []
        for (outcome, error, status), (measured, elsewhere, first, last) in self._rows.items():
            kind = self._names.get(("error", error), f"error {error}") if error else ""
            rows.append(
                Failure(
                    outcome=Outcome(outcome).name.lower(),
                    kind=printable(kind),
                    status=status,
                    measured=int(measured),
                    elsewhere=int(elsewhere),
                    first_s=float(first),
                    last_s=float(last),
                    examples=tuple(examples.get(kind, ())) if kind else (),
                )
            )
        rows.sort(key=lambda row: (-row.measured, -row.elsewhere, row.outcome, row.kind, row.status))
        return tuple(rows[:MAX_KINDS])


def _examples(events: Iterable[Event]) -> dict[str, list[str]]:
    """By kind, from "example" events: {"kind", "detail"?, "body"?}. The same text once."""
    found: dict[str, list[str]] = {}
    for event in events:
        if event.kind != "example":
            continue
        parts = [str(event.detail[key]) for key in ("detail", "body") if event.detail.get(key)]
        text = printable_block("\n".join(parts))
        kept = found.setdefault(str(event.detail.get("kind", "")), [])
        if text and text not in kept and len(kept) < _EXAMPLES:
            kept.append(text)
    return found
