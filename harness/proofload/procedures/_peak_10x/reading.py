"""From a run folder of peak-10x to the columns and stretches that it is judged by. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.company import in_flight
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.procedures import Evidence
from proofload.procedures._container_readings import SOURCE as CONTAINER
from proofload.procedures._container_readings import Readings
from proofload.procedures._peak_10x import plan
from proofload.procedures._peak_10x.looks import KEPT, kept
from proofload.procedures._peak_10x.plan import Settings
from proofload.records import Outcome, Phase, Samples
from proofload.store.record import Series

KEPT_UP = 0.95
"""A step whose goodput is below this part of what was due is saturated."""
BELOW = 3.0
"""The highest multiple that counts as below saturation, when it was kept up with."""
COLD = 5
_STALL_MS = 500.0
LIVENESS, PROCESS = "liveness", "process"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the ramp, the hold (`peak`) or the return (`back`)."""

    phase: Phase
    multiple: float
    samples: Samples
    begin_ns: int
    """After what the step before left behind."""
    end_ns: int
    peak: bool = False
    back: bool = False

    @property
    def counted(self) -> Samples:
        """The requests due between `begin_ns` and `end_ns`."""
        return self.samples.where(self.samples.table["intended_ns"] >= self.begin_ns)

    @property
    def offered_rps(self) -> float:
        length_s = (self.end_ns - self.begin_ns) / NS_PER_S
        return len(self.counted) / length_s if length_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Looks:
    """Looks at the liveness page: when they began, how long they took, and whether it answered."""

    t_ns: NDArray[np.int64]
    took_ms: NDArray[np.float64]
    ok: NDArray[np.bool_]
    found_in_flight: NDArray[np.int64]

    def within(self, spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        return within(self.t_ns, spans)

    @property
    def answered(self) -> bool:
        """It answered a look at least once; a page that never does tells nothing of how busy the target is."""
        return bool(self.ok.any())

    @property
    def stalled(self) -> NDArray[np.bool_]:
        return ~self.ok | (self.took_ms >= _STALL_MS)


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a judgement needs, in memory."""

    steps: tuple[Step, ...]
    others: tuple[tuple[Phase, Samples], ...]
    """Trickle, bursts and rests."""
    done_ok_ns: NDArray[np.int64]
    """Completions of ok answers, rising, of the whole run."""
    everything: Samples
    found_in_flight: NDArray[np.int64]
    """Of each of `everything`: others in flight when it was sent; -1 for those never sent."""
    looks: Looks | None
    process: Mapping[str, Series]
    container: Readings
    base_rps: float | None
    capacity_rps: float | None
    capacity_at_least: bool
    served_nothing: bool
    """Nothing it was asked in the beginning went well, so there was no ramp."""

    @property
    def peak(self) -> Step | None:
        return next((step for step in self.steps if step.peak), None)

    @property
    def back(self) -> Step | None:
        return next((step for step in self.steps if step.back), None)

    @property
    def ramp(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if not step.peak and not step.back)

    @property
    def base(self) -> tuple[Step, ...]:
        """The steps up to 1×, before the peak."""
        return tuple(step for step in self.ramp if step.multiple <= 1.0)

    def light(self) -> tuple[tuple[int, int], ...]:
        """Stretches of time below saturation: lone requests, and the steps that were kept up with."""
        spans = [span(phase) for phase, _ in self.others if phase.name.startswith((plan.TRICKLE, plan.REST))]
        spans += [span(step.phase) for step in self.ramp if step.multiple <= BELOW and kept_up(step)]
        return tuple(spans)


def read(evidence: Evidence, settings: Settings) -> Reading:
    """Works on a run that was cut short: steps that never began are missing."""
    steps: list[Step] = []
    others: list[tuple[Phase, Samples]] = []
    multiples = {plan.step_name(multiple): multiple for multiple in settings.multiples}
    for phase in evidence.phases:
        samples = evidence.samples(phase.index)
        samples = samples.where(samples.table["mirror"] == 0)
        if phase.name == settings.peak_name:
            steps.append(_step(phase, settings.peak_multiple, samples, settings, peak=True))
        elif phase.name == plan.BACK:
            steps.append(_step(phase, 1.0, samples, settings, back=True))
        elif phase.name in multiples:
            steps.append(_step(phase, multiples[phase.name], samples, settings))
        else:
            others.append((phase, samples))
    tables = [samples.table for _, samples in others] + [step.samples.table for step in steps]
    everything = Samples(np.concatenate(tables))
    sent = everything.table["sent_ns"] > 0
    done_ns = np.where(everything.table["done_ns"] > 0, everything.table["done_ns"], np.iinfo(np.int64).max)
    begun, ended = everything.table["sent_ns"][sent], done_ns[sent]
    readings = evidence.readings()
    base = next((event.detail for event in evidence.events if event.kind == "peak-base"), {})
    return Reading(
        steps=tuple(steps),
        others=tuple(others),
        done_ok_ns=np.sort(everything.table["done_ns"][everything.outcome == Outcome.OK]),
        everything=everything,
        found_in_flight=np.where(sent, in_flight(everything.table["sent_ns"], begun, ended), -1),
        looks=_looks(evidence, begun, ended),
        process={name: series for (arm, source, name), series in readings.items() if arm == 0 and source == PROCESS},
        container={key: series for key, series in readings.items() if key[:2] == (0, CONTAINER)},
        base_rps=base.get("base_rps"),
        capacity_rps=base.get("capacity_rps"),
        capacity_at_least=bool(base.get("at_least", False)),
        served_nothing=any(event.kind == plan.NO_CAPACITY for event in evidence.events),
    )


def kept_up(step: Step) -> bool:
    """Whether nearly all that was due in the step went well."""
    counted = step.counted if len(step.counted) else step.samples
    return bool(len(counted)) and float(np.mean(counted.outcome == Outcome.OK)) >= KEPT_UP


def within(t_ns: NDArray[np.int64], spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    inside = np.zeros(len(t_ns), dtype=np.bool_)
    for begin, end in spans:
        inside |= (t_ns >= begin) & (t_ns < end)
    return inside


def latency_ms(samples: Samples) -> NDArray[np.float64]:
    return np.asarray(samples.latency_ns / NS_PER_MS, dtype=np.float64)


def _step(
    phase: Phase, multiple: float, samples: Samples, settings: Settings, *, peak: bool = False, back: bool = False
) -> Step:
    begin, end = span(phase)
    skip_ns = 0 if back or multiple <= 1.0 else round(min(settings.skip_s, phase.duration_s / 2) * NS_PER_S)
    return Step(phase, multiple, samples, begin + skip_ns, end, peak, back)


def span(phase: Phase) -> tuple[int, int]:
    """From its first instant to its last."""
    return phase.start_ns, phase.start_ns + round(phase.duration_s * NS_PER_S)


def _looks(evidence: Evidence, begun: NDArray[np.int64], ended: NDArray[np.int64]) -> Looks | None:
    """The procedure's own looks; for want of them (the lab was killed) the probe's."""
    path = evidence.path / KEPT
    if path.exists():
        seen = kept(path.read_bytes())
        t_ns, took, ok = np.asarray(seen["t_ns"], dtype=np.int64), np.asarray(seen["ms"]), np.asarray(seen["ok"])
    else:
        readings = evidence.readings()
        first, second = readings.get((0, LIVENESS, "ms")), readings.get((0, LIVENESS, "ok"))
        if first is None or second is None or len(first.t_ns) != len(second.t_ns):
            return None
        t_ns, took, ok = first.t_ns, first.values, second.values
    if not len(t_ns):
        return None
    return Looks(t_ns, np.asarray(took, dtype=np.float64), ok > 0, in_flight(t_ns, begun, ended))
