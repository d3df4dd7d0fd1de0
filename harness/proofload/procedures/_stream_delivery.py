"""What became of the messages of a run over a stream, phase by phase, whatever the procedure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from proofload.analysis.delivery import PhaseDelivery, accounts, deliveries
from proofload.procedures import Evidence
from proofload.records import PhaseSummary

STREAMS = frozenset({"kafka"})


def delivery_of(evidence: Evidence, keys: int) -> Mapping[int, PhaseDelivery]:
    """By the phase's index. `keys`: over how many keys messages were spread; 0: they had none."""
    phases = ((phase.index, phase.start_ns, evidence.samples(phase.index).table) for phase in evidence.phases)
    return {one.phase: one for one in deliveries(phases, accounts(evidence.events), keys=keys)}


def with_delivery(evidence: Evidence, summaries: Sequence[PhaseSummary]) -> tuple[PhaseSummary, ...]:
    """Each with its counts where the target is a stream and they are not there yet; by the phase's name, if that
    is one phase's alone."""
    target = evidence.run["target"]
    missing = {summary.name for summary in summaries if summary.delivery is None}
    if target["transport"] not in STREAMS or not missing:
        return tuple(summaries)
    keys = int(target.get("request", {}).get("keys") or 0)
    counted = delivery_of(evidence, keys)
    named = Counter(phase.name for phase in evidence.phases)
    counts = {phase.name: counted[phase.index].counts for phase in evidence.phases if named[phase.name] == 1}
    return tuple(
        replace(summary, delivery=counts.get(summary.name)) if summary.name in missing else summary
        for summary in summaries
    )
