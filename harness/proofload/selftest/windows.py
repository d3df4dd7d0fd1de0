"""Windows of a long recording, each judged as if it were a run of its own.

Real time does not allow thousands of healthy runs. What a server did in one window is no worse an example of healthy
than what it does in a run of that length, and a decision that depends on the moment shows in its windows. They overlap,
so they are not independent: as many as fit side by side are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.discovery import module_for
from proofload.records import Event, Phase, Samples, Status
from proofload.selftest import Case
from proofload.store.record import RunRecord, Series
from proofload.verdict.status import overall

STRIDE = 0.1
"""From one window's start to the next, as a share of its length."""
_SETTLING_S = 5.0
"""What a server does in its first seconds is judged in runs from the start; a window has no start."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was decided about the windows of one recording."""

    case: Case
    recorded_s: float
    counts: Mapping[Status, int]
    whys: Sequence[str]
    """Of each window that failed: when it began, and why."""

    @property
    def side_by_side(self) -> int:
        return int(self.recorded_s // self.case.windows_s)


class Window:
    """One phase of a recording, between two instants, as the evidence of a run (`proofload.procedures.Evidence`)."""

    def __init__(self, record: RunRecord, samples: Samples, phase: Phase, begin_ns: int, length_s: float) -> None:
        end_ns = begin_ns + round(length_s * NS_PER_S)
        due = samples.table["intended_ns"]
        table = samples.table[(due >= begin_ns) & (due < end_ns)].copy()
        table["seq"] = np.arange(len(table))
        self._record = record
        self._samples = Samples(table)
        self._span = (begin_ns, end_ns)
        self.phases = (replace(phase, start_ns=begin_ns, duration_s=length_s, planned=len(table)),)
        self.complete = True

    @property
    def run(self) -> Mapping[str, Any]:
        return self._record.run

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """Those of its time, and the names that samples refer to."""
        begin, end = self._span
        return tuple(one for one in self._record.events if one.kind == "name" or begin <= one.t_ns < end)

    @property
    def names(self) -> Mapping[tuple[str, int], str]:
        return self._record.names

    @property
    def path(self) -> Path:
        return self._record.path

    def samples(self, phase: int | None = None) -> Samples:
        return self._samples if phase in {None, self.phases[0].index} else Samples(self._samples.table[:0])

    def readings(self) -> Mapping[tuple[int, str, str], Series]:
        """Those of its time; what is read only once, at a server's start, holds for all of its life."""
        begin, end = self._span
        found = {}
        for key, series in self._record.readings().items():
            inside = (series.t_ns >= begin) & (series.t_ns < end)
            if len(series.t_ns) == 1:
                found[key] = Series(np.array([begin]), series.values)
            elif inside.any():
                found[key] = Series(series.t_ns[inside], series.values[inside])
        return found

    def users(self) -> NDArray[np.int32] | None:
        return self._record.users()

    def answers(self) -> Iterator[Mapping[str, Any]]:
        return iter(())


def replay(folder: Path, case: Case) -> Replayed:
    """Judge every window of the longest measured phase of a recording."""
    record = RunRecord(folder)
    module = module_for("procedure", record.run["scenario"]["procedure"])
    scenario = module.Settings.model_validate({**record.run["scenario"], "duration_s": case.windows_s})
    phase = max((one for one in record.phases if one.measured), key=lambda one: one.duration_s)
    samples = record.samples(phase.index)
    counts: Counter[Status] = Counter()
    whys = []
    length_s = case.windows_s
    last_s = phase.duration_s - length_s
    for begin_s in np.arange(_SETTLING_S, last_s, STRIDE * length_s):
        window = Window(record, samples, phase, phase.start_ns + round(begin_s * NS_PER_S), length_s)
        findings = module.create().judge(window, scenario)
        status = overall(findings.validity, findings.checks)
        counts[status] += 1
        if status is Status.FAIL:
            failed = [f"{one.name}: {one.evidence}" for one in findings.checks if one.status is Status.FAIL]
            whys.append(f"from {begin_s:.0f} s: {'; '.join(failed)}"[:300])
    return Replayed(case, phase.duration_s - _SETTLING_S, counts, whys)
