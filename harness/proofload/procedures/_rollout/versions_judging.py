"""What judging two versions has in common: did the second one come up and stay up, and may the client be believed?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from proofload.procedures import Circumstances, Evidence
from proofload.procedures._measured_phase import MeasuredPhase, measure
from proofload.procedures._rollout.moving import FORCED, NEVER_STARTED, RETIRE
from proofload.records import Check, Interval, Phase, Samples, Status, Validity
from proofload.scenarios import Scenario, Slo
from proofload.verdict.validity import merged

NOTHING = Interval(None, None)
CANARY = 1


def stays_up(evidence: Evidence, *, name: str = "canary-stays-up") -> Check:
    """Fail where the second version never got ready, or died before it was told to end."""
    told = {int(event.detail["arm"]): event.t_ns for event in evidence.events if event.kind == RETIRE}
    for event in evidence.events:
        if event.kind == NEVER_STARTED:
            return _down(name, f"it never got ready: {event.detail['what']}", str(event.detail.get("evidence", "")))
        died = event.kind == "server-died" and event.detail["arm"] == CANARY
        if died and event.t_ns < told.get(CANARY, event.t_ns + 1):
            return _down(name, str(event.detail["what"]), str(event.detail.get("evidence", "")))
        if event.kind == "rollback" and event.detail.get("guard") == "canary-down":
            return _down(name, str(event.detail["reason"]), "")
    if any(event.kind == "server" and event.detail["what"] == "started" and event.detail["arm"] == CANARY
           for event in evidence.events):  # fmt: skip
        return Check(name, Status.PASS, None, None, "", NOTHING, "it was up until it was told to end")
    return Check(
        name, Status.INCONCLUSIVE, None, None, "", NOTHING, "it was never started", settle="run it again, to its end"
    )


def forced(evidence: Evidence) -> frozenset[int]:
    """Payloads that a header forces to the second version."""
    return frozenset(int(one) for event in evidence.events if event.kind == FORCED for one in event.detail["payloads"])


def for_users(samples: Samples, leave_out: frozenset[int] = frozenset()) -> Samples:
    """Requests that users wait for, without copies and without payloads that are left out."""
    keep = samples.table["mirror"] == 0
    if leave_out:
        keep &= ~np.isin(samples.table["payload"], np.fromiter(leave_out, np.int64))
    return samples.where(keep)


def pooled(name: str, parts: Sequence[tuple[Phase, Samples]]) -> tuple[Phase, Samples]:
    """Phases of one kind as one: their requests that users wait for, numbered on."""
    first, tables, offset = parts[0][0], [], 0
    for phase, samples in parts:
        table = for_users(samples).table.copy()
        table["seq"] += offset
        offset += phase.planned - (len(samples) - len(table))  # copies are planned, too
        tables.append(table)
    whole = Phase(
        index=first.index,
        name=name,
        arrival=first.arrival,
        rate_rps=first.rate_rps,
        duration_s=sum(phase.duration_s for phase, _ in parts),
        planned=offset,
        start_ns=first.start_ns,
        measured=True,
    )
    return whole, Samples(np.concatenate(tables))


def measured(phase: Phase, samples: Samples, scenario: Scenario, around: Circumstances) -> MeasuredPhase:
    """A phase's requests that users wait for, judged; warmed up before, so nothing is left out."""
    return measure(phase, for_users(samples), scenario, around, find_warmup=False)


def keeps_slo(
    parts: Sequence[tuple[Phase, Samples]], arm: int, scenario: Scenario, around: Circumstances, *, alpha_fail: float
) -> tuple[Check, ...]:
    """[slo] by what users sent to the version that ends up serving them, as far as it binds."""
    its = [(phase, samples.where(samples.table["arm"] == arm)) for phase, samples in parts]
    its = [(phase, samples) for phase, samples in its if len(samples)]
    if not its:
        settle = "a run in which it serves users"
        nobody = Check("slo", Status.INCONCLUSIVE, None, None, "", NOTHING, "it served nobody", settle=settle)
        return binding((nobody,), scenario.slo)
    allotted = scenario.model_copy(update={"alpha_fail": alpha_fail})
    return binding(measured(*pooled("serving", its), allotted, around).checks, scenario.slo)


def binding(checks: Iterable[Check], slo: Slo) -> tuple[Check, ...]:
    """All checks of [slo] where it was set, be it to its default. Where nobody set it, those that fail: a rollout need
    not prove what was not asked for, but two versions that are as bad as each other are no pass."""
    return tuple(check for check in checks if _is_set(slo) or check.status is Status.FAIL)


def does_not_serve(baseline: Iterable[Check], checks: Iterable[Check]) -> tuple[str, ...]:
    """A sentence, where a run fails and the baseline itself breaks [slo]. `baseline`: what binds its own answers;
    `checks`: the run's."""
    broken = [one for one in baseline if one.name in {"ok_share", "wrong_share"} and one.status is Status.FAIL]
    if not broken or all(check.status is not Status.FAIL for check in checks):
        return ()
    return (f"The baseline itself does not serve as it must, so to be no worse is not enough: {broken[0].evidence}",)


def _is_set(slo: Slo) -> bool:
    """Run folders of older versions hold every key, those that nobody set at their defaults."""
    return slo != Slo() or slo.model_fields_set == {"ok_share"}


def all_valid(phases: Mapping[str, MeasuredPhase]) -> tuple[Validity, ...]:
    return merged({name: one.validity for name, one in phases.items()})


def _down(name: str, what: str, evidence: str) -> Check:
    text = "; ".join(filter(None, (what, evidence)))
    return Check(name, Status.FAIL, None, None, "", NOTHING, text, cause="canary-down")
