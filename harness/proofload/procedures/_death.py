"""A target that died under load: how, in which phase, at what rate; and what its death leaves of the other checks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from proofload.clock import NS_PER_S
from proofload.procedures import Evidence
from proofload.procedures._container_readings import killed_at_its_limit
from proofload.records import Check, Event, Interval, Phase, Status, Validity
from proofload.report import numbers
from proofload.report.text import printable
from proofload.verdict.causes import CAUSES

STAYS_UP = "target-stays-up"
CAUSE = "dies-under-load"
"""Where nothing better is known."""
SETTLE = "a run that the target survives: mend first what ended it"
_STEADY = frozenset({"constant", "poisson"})
"""Arrival processes whose planned rate is the rate at every instant."""
_TELLING = re.compile(r"\b(panic|fatal|segfault)\b|error|exception", re.IGNORECASE)
_WORDS = 160


@dataclass(frozen=True, slots=True)
class Death:
    """As far as it is known; empty texts where nothing is."""

    who: str
    ended: str
    """"ended with exit status 2": follows "it"."""
    why: str
    last_words: str
    when: str
    """"902 ms into “burst 1”, at about 479 requests/s"."""
    cause: str
    what: str
    log: str

    def check(self) -> Check:
        evidence = "; ".join(filter(None, (self.what, self.when, self.why, self.log)))
        return Check(STAYS_UP, Status.FAIL, None, None, "", Interval(None, None), evidence, cause=self.cause)

    def sentences(self) -> tuple[str, ...]:
        how = ", ".join(filter(None, (f"it {self.ended}" if self.ended else "", self.when)))
        said = [f"{self.who} died under load{': ' if how else ''}{how}{'; ' if self.why else ''}{self.why}."]
        if self.last_words:
            said.append(f"Its last words: “{self.last_words}”.")
        return (*said, f"Next: {CAUSES[self.cause].remedy}.")


def death_of(evidence: Evidence, kind: str = "target-died") -> Death | None:
    """The first death that events of this kind tell of. Raises KeyError for an event that lacks what it must have."""
    event = next((event for event in evidence.events if event.kind == kind), None)
    if event is None:
        return None
    what, log = str(event.detail["what"]), str(event.detail.get("evidence", ""))
    phase, at_ns = _where(evidence, event)
    return Death(
        who=str(evidence.run["target"]["name"]),
        ended=what.partition(": it ")[2],
        why=printable(event.detail.get("cause", ""), _WORDS),
        last_words=_last_words(log),
        when="" if phase is None else _when(evidence, phase, at_ns),
        cause="out-of-memory" if killed_at_its_limit(event) else CAUSE,
        what=what,
        log=log,
    )


def left_open(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Checks that its death left open: no other setting would close them."""
    return tuple(replace(check, settle=SETTLE) if check.status is Status.INCONCLUSIVE else check for check in checks)


def cut_off(validity: Iterable[Validity]) -> tuple[Validity, ...]:
    """A phase that its death kept from coming is not one that the lab left out."""
    return tuple(
        replace(item, detail=f"{item.detail}: the target died before", remedy=SETTLE)
        if item.code == "no-data" and not item.ok
        else item
        for item in validity
    )


def _where(evidence: Evidence, event: Event) -> tuple[Phase | None, int]:
    """The phase that was on, or the last one before; and when. A death is noted once the load that it cut has ended."""
    begun = [phase for phase in evidence.phases if phase.start_ns <= event.t_ns and phase.duration_s > 0]
    if not begun:
        return None, event.t_ns
    phase = begun[-1]
    cut = any(one.kind == "phase-cut" and one.detail["phase"] == phase.index for one in evidence.events)
    return phase, min(event.t_ns, _end_ns(phase)) if cut else event.t_ns


def _when(evidence: Evidence, phase: Phase, at_ns: int) -> str:
    """In the phase, or after it: while its last requests were on their way, or at rest."""
    name, end_ns = printable(phase.name, 60), _end_ns(phase)
    rate_rps = _rate_rps(evidence, phase, min(at_ns, end_ns))
    rate = "" if rate_rps is None else f"at about {numbers.significant(rate_rps)} requests/s"
    if at_ns > end_ns:
        return f"after “{name}”{f', which was {rate}' if rate else ''}"
    into = f"{numbers.seconds((at_ns - phase.start_ns) / NS_PER_S)} into “{name}”"
    return f"{into}{f', {rate}' if rate else ''}"


def _rate_rps(evidence: Evidence, phase: Phase, at_ns: int) -> float | None:
    """At which requests were due: as planned; where that changes in the course of the phase, of the last second."""
    if phase.arrival in _STEADY:
        return phase.rate_rps
    begin_ns = max(phase.start_ns, at_ns - NS_PER_S)
    due_ns = evidence.samples(phase.index).table["intended_ns"]
    count = int(np.count_nonzero((due_ns >= begin_ns) & (due_ns < at_ns)))
    return count * NS_PER_S / (at_ns - begin_ns) if count else None


def _end_ns(phase: Phase) -> int:
    return phase.start_ns + round(phase.duration_s * NS_PER_S)


def _last_words(log: str) -> str:
    """The last line of its log that names an error, else its last line. Empty where there is no log: the first line
    says whose end follows."""
    lines = [line.strip() for line in log.splitlines()[1:] if line.strip()]
    telling = [line for line in lines if _TELLING.search(line)]
    return printable((telling or lines or [""])[-1], _WORDS).rstrip(".")
