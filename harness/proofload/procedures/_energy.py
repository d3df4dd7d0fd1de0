"""What the target's accelerators took for the answers of one phase, from the readings of the GPU probe."""

from __future__ import annotations

from proofload.analysis.energy import consumption, power_at_rest
from proofload.analysis.summary import with_outcome
from proofload.clock import NS_PER_S
from proofload.procedures import Evidence
from proofload.procedures._measured_phase import MeasuredPhase
from proofload.records import Energy, Interval, Outcome
from proofload.report.numbers import short

ARM = 0
_MILLION = 1e6
_METHODS = {
    "counter": "the boards' own counter of energy",
    "power": "readings of the boards' power, joined by straight lines",
}


def consumed(evidence: Evidence, measured: MeasuredPhase) -> Energy | None:
    """None where no board of the target was read, or not for long enough."""
    readings = evidence.readings()
    counter, power = (readings.get((ARM, "gpu", name)) for name in ("energy_j", "power_w"))
    if counter is None and power is None:
        return None
    start_ns, end_ns = measured.span_ns
    samples = evidence.samples(measured.phase.index)
    mine = with_outcome(samples, Outcome.OK) & (samples.table["arm"] == ARM)
    found = consumption(counter, power, samples.table["done_ns"][mine], start_ns=start_ns, end_ns=end_ns)
    if found is None:
        return None
    loads = [(phase.start_ns, phase.start_ns + round(phase.duration_s * NS_PER_S)) for phase in evidence.phases]
    idle_w = power_at_rest(power, loads)
    idle_share = None if idle_w is None else min(1.0, idle_w / found.mean_w)
    shared = readings.get((ARM, "gpu", "shared_board")), readings.get((ARM, "gpu", "neighbours"))
    others = any(one is not None and bool((one.values > 0).any()) for one in shared)
    return Energy(
        per_million_j=_MILLION * found.per_answer_j,
        interval=Interval(
            None if found.interval.low is None else _MILLION * found.interval.low,
            None if found.interval.high is None else _MILLION * found.interval.high,
        ),
        joules=found.joules,
        predictions=found.answers,
        covered_s=found.covered_s,
        mean_w=found.mean_w,
        by=found.by,
        idle_share=idle_share,
        detail=_told(found.by, idle_w, idle_share, others=others),
    )


def _told(by: str, idle_w: float | None, idle_share: float | None, *, others: bool) -> str:
    """What the number is, and what it is not."""
    said = [f"Measured by {_METHODS[by]}: all that they took, not what the requests added"]
    if idle_w is None or idle_share is None:
        said.append("how much of it they take at rest is unknown: they were not read without load")
    else:
        said.append(f"at rest they take {short(idle_w)} W, {idle_share:.0%} of it".replace("%", " %"))
    if others:
        said.append("processes of others were on the same boards, and are in it")
    said.append("the rest of the machine is not in it")
    return "; ".join(said) + "."
