"""What the diagnosis of an overload goes by, read off a run: see verdict/peak_causes.py."""

from __future__ import annotations

import numpy as np

from proofload.analysis.overload_recovery import Recovery
from proofload.analysis.summary import with_outcome
from proofload.clock import NS_PER_S
from proofload.procedures._peak_10x.plan import Settings
from proofload.procedures._peak_10x.reading import Reading, Step, within
from proofload.records import Outcome, Samples
from proofload.verdict.peak_causes import Signs

_AFTER_S = 4.0
"""So long after the last caller of the peak left, its CPU is looked at."""
_FEWEST_READINGS = 3


def signs_of(
    reading: Reading, back: Recovery | None, settings: Settings, *, blocked: bool, oversubscribed: bool
) -> Signs | None:
    """None where the peak was not reached."""
    peak = reading.peak
    if peak is None or not len(peak.counted):
        return None
    counted = peak.counted
    ok, shed = with_outcome(counted, Outcome.OK), with_outcome(counted, Outcome.SHED)
    excess = int(np.count_nonzero(~ok))
    taken = int(np.count_nonzero(~shed))
    in_vain = int(np.count_nonzero(with_outcome(counted, Outcome.LATE, Outcome.TIMEOUT)))
    late = back is not None and (back.after_s is None or back.after_s > settings.timeout_s + 1.0)
    return Signs(
        refused=int(np.count_nonzero(shed)) / excess if excess else 1.0,
        in_vain=in_vain / taken if taken else 0.0,
        never_connected=_never_connected(counted, settings),
        stalled=_stalled(reading, peak),
        attempts_at_peak=_attempts(counted),
        attempts_after=1.0 if reading.back is None else _attempts(reading.back.samples),
        busy_after_cores=_busy_after(reading, settings),
        late_recovery=late,
        blocked=blocked,
        oversubscribed=oversubscribed,
    )


def _never_connected(counted: Samples, settings: Settings) -> float:
    """A timeout that was never sent waited for a connection: the target's doing only below the client's own cap."""
    table = counted.table
    gave_up = table["outcome"] == Outcome.TIMEOUT
    unsent = gave_up & (table["sent_ns"] == 0)
    on_their_way = len(table) / max(1e-9, _seconds(counted)) * settings.timeout_s
    return 0.0 if on_their_way >= settings.connections else float(np.count_nonzero(unsent)) / len(table)


def _seconds(counted: Samples) -> float:
    due = counted.table["intended_ns"]
    return (int(due[-1]) - int(due[0])) / NS_PER_S


def _stalled(reading: Reading, peak: Step) -> float | None:
    if reading.looks is None:
        return None
    at_peak = reading.looks.within([(peak.begin_ns, peak.end_ns)])
    return float(np.mean(reading.looks.stalled[at_peak])) if at_peak.any() else None


def _attempts(samples: Samples) -> float:
    attempts = samples.table["attempts"]
    attempts = attempts[attempts > 0]
    return float(attempts.mean()) if len(attempts) else 1.0


def _busy_after(reading: Reading, settings: Settings) -> float | None:
    series, back = reading.process.get("cpu_share"), reading.back
    if series is None or back is None or not reading.base:
        return None
    gone_ns = back.begin_ns + round((settings.timeout_s + 0.5) * NS_PER_S)
    until_ns = min(back.end_ns, gone_ns + round(_AFTER_S * NS_PER_S))
    after = series.values[within(series.t_ns, [(gone_ns, until_ns)])]
    same = [(step.begin_ns + NS_PER_S // 2, step.end_ns) for step in reading.base if step.multiple == 1.0]
    before = series.values[within(series.t_ns, same)]
    if min(len(after), len(before)) < _FEWEST_READINGS:
        return None
    return float(after.mean() - before.mean())
