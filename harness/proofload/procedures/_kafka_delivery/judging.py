"""From a run folder to what kafka-delivery concludes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from proofload import brokers
from proofload.analysis.delivery import PhaseDelivery
from proofload.procedures import Circumstances, Evidence, Findings
from proofload.procedures._death import death_of
from proofload.procedures._kafka_delivery.settings import REPEAT, STEADY, Settings
from proofload.procedures._kafka_delivery.telling import details, headline
from proofload.procedures._measured_phase import measure
from proofload.procedures._stream_delivery import delivery_of
from proofload.records import Check, Event, Interval, Outcome, Phase, Samples, Status, Validity
from proofload.report.numbers import short
from proofload.verdict import delivery as verdict
from proofload.verdict.codes import LATE_CLIENT, RULES
from proofload.verdict.delivery import Stretch
from proofload.verdict.validity import merged

_NO_MATTER = "of no matter to what became of the messages"


def judge(evidence: Evidence, scenario: Settings) -> Findings:
    stream = next((event.detail for event in evidence.events if event.kind == "stream"), None)
    judged = [phase for phase in evidence.phases if phase.measured]
    if stream is None or not judged:
        return Findings.nothing(evidence)
    embedded = stream["broker"] == brokers.KIND
    around = replace(Circumstances.of(evidence), embedded_broker=False)  # judged here, over the whole run
    counted = delivery_of(evidence, int(stream["keys"]))
    measured = {
        phase.index: measure(phase, evidence.samples(phase.index), scenario, around, find_warmup=False)
        for phase in judged
    }
    stretches = [_stretch(evidence, phase, counted[phase.index], scenario) for phase in judged]
    steady = next((measured[phase.index] for phase in judged if phase.name == STEADY), None)
    death = death_of(evidence, "server-died")  # unbidden: a worker that does has failed, whatever it answered
    checks = (
        *(() if death is None else (death.check(),)),
        *(() if steady is None else steady.checks),
        *_checks(stretches, scenario),
        *((_handovers(evidence, stretches, scenario),) if scenario.disturbances else ()),
    )
    validity = merged({phase.name: _counting(measured[phase.index].validity, phase, scenario) for phase in judged})
    return Findings(
        phases=tuple(replace(measured[phase.index].summary, delivery=counted[phase.index].counts) for phase in judged),
        checks=checks,
        validity=_with_backlog(validity, evidence, around, embedded=embedded),
        client=None if steady is None else steady.health,
        headline=headline(str(evidence.run["target"]["name"]), stretches, checks, scenario)
        if death is None
        else death.sentences(),
        details=details(stretches, stream, scenario),
    )


def _stretch(evidence: Evidence, phase: Phase, delivery: PhaseDelivery, scenario: Settings) -> Stretch:
    disturbed = [event for event in _during(evidence, phase) if event.kind == "disturbance"]
    ended = next((event for event in disturbed if event.detail["what"] in {"stop", "kill"}), None)
    what = dict(scenario.plan()).get(phase.name, "")
    reach_s = scenario.redelivery_s if what == "kill" else scenario.handover_redelivery_s
    return Stretch(
        name=phase.name,
        delivery=delivery,
        what=what,
        disturbed_ns=disturbed[0].t_ns if disturbed else 0,
        reach_s=reach_s,
        under_way=None if ended is None else _under_way(evidence.samples(phase.index), ended.t_ns),
    )


def _during(evidence: Evidence, phase: Phase) -> Sequence[Event]:
    later = [other.start_ns for other in evidence.phases if other.start_ns > phase.start_ns]
    end_ns = min(later, default=2**63 - 1)
    return [event for event in evidence.events if phase.start_ns <= event.t_ns < end_ns]


def _under_way(samples: Samples, at_ns: int) -> int:
    """Messages that had been sent and not been answered at that instant."""
    table = samples.table
    open_until_ns = np.where(table["outcome"] == Outcome.TIMEOUT, np.iinfo(np.int64).max, table["done_ns"])
    return int(np.count_nonzero((table["sent_ns"] > 0) & (table["sent_ns"] < at_ns) & (open_until_ns > at_ns)))


def _checks(stretches: Sequence[Stretch], scenario: Settings) -> tuple[Check, ...]:
    share = scenario.lost_share
    found = [
        verdict.lost(stretches, scenario.guarantee, share=share),
        verdict.duplicated(stretches, scenario.guarantee, share=share, alpha_fail=scenario.alpha_fail),
    ]
    if scenario.order == "key":
        found.append(verdict.reordered(stretches, share=share))
    return tuple(found)


def _handovers(evidence: Evidence, stretches: Sequence[Stretch], scenario: Settings) -> Check:
    """Whether everything that was to be done to the workers was done, and the stream came back each time.

    Of kills one at least must have fallen upon work in hand: the others show nothing.
    """
    done = {one.name for one in stretches if one.disturbed_ns}
    back = {event.detail["what"] for event in evidence.events if event.kind == "caught-up"}
    why_not = {
        str(event.detail["what"]): str(event.detail["why"])
        for event in evidence.events
        if event.kind == "not-disturbed"
    }
    planned = [name for name, _ in scenario.plan() if why_not.get(name) != REPEAT]
    missing = [name for name in planned if name not in done]
    stuck = [name for name in planned if name in done and name not in back]
    count = len([name for name in planned if name in back])
    longest = max((one.delivery.stood_still_s for one in stretches if one.disturbed_ns), default=None)
    if stuck:
        evidence_text = (
            f"After {', '.join(stuck)} messages were not answered promptly again within {scenario.recovery_s:g} s."
        )
        settle = (
            "raise recovery_s above the group's session time-out, or lower rate_rps, so that what has piled up can be "
            "worked off; else look at the worker's log"
        )
    elif missing:
        whys = list(dict.fromkeys(why_not[name] for name in missing if name in why_not))
        evidence_text = f"Not done: {', '.join(missing)}{': ' if whys else ''}{'; '.join(whys)}."
        settle = (
            "give the target file a [start] with the worker's command, and a real broker; or ask only about workers "
            "left alone: `--set disturbances=[]`"
        )
    elif vain := _vain_kills(evidence):
        evidence_text = f"No kill fell upon work in hand: {vain}."
        settle = (
            "raise pile_up_s or rate_rps, so that a pile takes longer to work off; a worker that runs as another user, "
            "as in a container, can only be killed by a lab that runs as root"
        )
    else:
        spoken = "" if longest is None else f" The longest time without an answer was {short(longest)} s."
        evidence_text = f"{', '.join(planned)}: the stream came back each time.{spoken}"
        settle = ""
    status = Status.INCONCLUSIVE if settle else Status.PASS
    return Check(
        "handovers", status, count, len(planned), "handovers", Interval(None, None), evidence_text, settle=settle
    )


def _vain_kills(evidence: Evidence) -> str:
    """What became of the kills where none fell upon work in hand; empty where one did, or none was to."""
    fell = [
        str(event.detail.get("fell"))
        for event in evidence.events
        if event.kind == "disturbance" and event.detail["what"] == "kill"
    ]
    return "" if "in the midst" in fell else ", ".join(fell)


def _counting(validity: Sequence[Validity], phase: Phase, scenario: Settings) -> Sequence[Validity]:
    """What became of a message does not depend on how punctually it was sent; only limits on latency do."""
    if phase.name == STEADY and scenario.slo.limits():
        return validity
    return [
        item
        if item.ok or item.code not in LATE_CLIENT
        else replace(item, ok=True, detail=f"{item.detail}: {_NO_MATTER}", remedy="")
        for item in validity
    ]


def _with_backlog(
    validity: Sequence[Validity], evidence: Evidence, around: Circumstances, *, embedded: bool
) -> tuple[Validity, ...]:
    """What an embedded broker may have forgotten cannot be told from what a worker lost."""
    if not embedded:
        return tuple(validity)
    tables: list[Any] = [evidence.samples(phase.index).table for phase in evidence.phases]
    sent = np.concatenate([table["sent_ns"] for table in tables])
    answered = np.concatenate([np.where(table["outcome"] == Outcome.TIMEOUT, 0, table["done_ns"]) for table in tables])
    backlog = brokers.largest_backlog(sent, answered)
    overrun = brokers.could_overrun(backlog, around.payload_bytes)
    detail = f"at most {backlog:,} messages waited in the embedded broker" + (
        ", more than it keeps if they lay in one partition" if overrun else ""
    )
    rule = RULES["broker-backlog"]
    item = Validity(rule.code, ok=not overrun, detail=detail, remedy=rule.remedy if overrun else "")
    return tuple(item if other.code == rule.code else other for other in validity)
