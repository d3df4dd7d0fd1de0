"""Everything a report needs of one run, small enough to keep: `view` is the only reader of samples here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from proofload.clock import NS_PER_S
from proofload.discovery import implementations
from proofload.records import Event, Phase, PhaseSummary, Result, Samples
from proofload.report.numbers import short
from proofload.report.reduce.cache_share import CacheShare, cache_share
from proofload.report.reduce.failures import Failure, Failures
from proofload.report.reduce.load_curve import LoadPoint, load_curve
from proofload.report.reduce.readings import Gauge, Readings, gauge
from proofload.report.reduce.server_time import ClientMeans, Means, ServerTime, server_time
from proofload.report.reduce.tail import Tail, tail
from proofload.report.reduce.time_bins import TimeBins, TimeSeries
from proofload.report.sentences import called, headline, percentile_of
from proofload.report.text import printable

_BOOKKEEPING = frozenset({"example", "name", "phase", "phase-planned", "capacity-step", "health", "run-complete"})
_MAX_EVENTS = 200


class Recorded(Protocol):
    """What is read of the store's record of a run."""

    @property
    def path(self) -> Path: ...

    @property
    def run(self) -> Mapping[str, Any]: ...

    @property
    def phases(self) -> Sequence[Phase]: ...

    @property
    def events(self) -> Sequence[Event]: ...

    @property
    def result(self) -> Result: ...

    @property
    def names(self) -> Mapping[tuple[str, int], str]: ...

    def samples(self, phase: int | None = None) -> Samples: ...

    def readings(self) -> Mapping[tuple[int, str, str], Readings]: ...


@dataclass(frozen=True, slots=True)
class PhaseMark:
    """When a phase ran, in seconds since the first began."""

    name: str
    start_s: float
    end_s: float
    rate_rps: float
    measured: bool


@dataclass(frozen=True, slots=True)
class EventMark:
    """An event, in seconds since the first phase began (negative: before it), and its detail as text."""

    t_s: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as a report shows it. `label` is what its target is called; a report makes labels distinct."""

    label: str
    path: str
    result: Result
    sentences: tuple[str, ...]
    limits: Mapping[str, float]
    """The SLO's percentiles and their limits in ms, "p99" → 50, whether or not they came to be judged."""
    run: Mapping[str, Any]
    phases: tuple[PhaseMark, ...]
    events: tuple[EventMark, ...]
    events_left_out: int
    time: TimeSeries | None
    tails: tuple[Tail, ...]
    failures: tuple[Failure, ...]
    versions: Mapping[str, int]
    load: tuple[LoadPoint, ...]
    means: ClientMeans | None
    server: ServerTime | None
    cache: CacheShare | None
    gauges: tuple[Gauge, ...]
    experiment: Any = None
    """What the procedure's own section needs (see `proofload.report.experiments`)."""


def view(record: Recorded) -> RunView:
    """Goes through the samples once, phase by phase, holding one phase at a time."""
    result = record.result
    phases = tuple(record.phases)
    timeout_s = _timeout_s(record.run)
    bins = TimeBins(phases, timeout_s=timeout_s)
    failures = Failures(record.names, bins.start_ns)
    means = Means()
    tails: list[Tail] = []
    for phase, summary in _paired(phases, result.phases):
        samples = record.samples(phase.index)
        bins.add(phase, samples)
        failures.add(samples, measured=phase.measured)
        counted = Samples(samples.table[summary.excluded if summary else 0 :])
        if phase.measured and len(counted):
            means.add(counted)
            tails.extend(_tails(phase, counted, summary, timeout_s))
        del samples, counted  # before the next phase is read
    readings = record.readings()
    windows = [_window(phase) for phase in phases if phase.measured]
    marks, left_out = _events(record.events, bins.start_ns)
    return RunView(
        label=called(result),
        path=str(record.path),
        result=result,
        sentences=headline(result),
        limits=_limits(result, record.run),
        run=record.run,
        phases=tuple(_mark(phase, bins.start_ns) for phase in phases),
        events=marks,
        events_left_out=left_out,
        time=bins.series(),
        tails=tuple(tails),
        failures=failures.found(record.events),
        versions=failures.versions,
        load=load_curve(result),
        means=means.found(),
        server=server_time(readings, windows, bins.start_ns),
        cache=cache_share(readings, windows),
        gauges=tuple(
            found
            for (arm, source, name), series in sorted(readings.items())
            if source != "prometheus" and (found := gauge(source, name, arm, series, bins.start_ns)) is not None
        ),
        experiment=_experiment(record, result),
    )


def _experiment(record: Recorded, result: Result) -> Any:
    known = implementations("experiment report").get(result.procedure)
    return None if known is None or known.module is None else known.module.create().reduce(record, result)


def _paired(phases: Sequence[Phase], summaries: Sequence[PhaseSummary]) -> Iterator[tuple[Phase, PhaseSummary | None]]:
    """Each phase with its summary: the next unused one of its name (search steps may share a name)."""
    left = list(summaries)
    for phase in phases:
        match = next((summary for summary in left if summary.name == phase.name), None)
        if match is not None:
            left.remove(match)
        yield phase, match


def _tails(phase: Phase, samples: Samples, summary: PhaseSummary | None, timeout_s: float | None) -> Iterator[Tail]:
    """One curve per arm; with two arms, the summary is of neither."""
    name = printable(phase.name, 40)
    arms = samples.table["arm"]
    split = bool(arms.any())
    for arm in range(int(arms.max()) + 1):
        part = samples.where(arms == arm) if split else samples
        known = summary.latency if summary is not None and not split else None
        found = tail(name, part, known, arm=arm, timeout_s=timeout_s)
        if found is not None:
            yield found


def _window(phase: Phase) -> tuple[int, int]:
    return phase.start_ns, phase.start_ns + round(phase.duration_s * NS_PER_S)


def _mark(phase: Phase, start_ns: int) -> PhaseMark:
    start_s = (phase.start_ns - start_ns) / NS_PER_S
    return PhaseMark(printable(phase.name, 40), start_s, start_s + phase.duration_s, phase.rate_rps, phase.measured)


def _events(events: Sequence[Event], start_ns: int) -> tuple[tuple[EventMark, ...], int]:
    marks = [
        EventMark(
            t_s=(event.t_ns - start_ns) / NS_PER_S,
            kind=printable("note" if event.kind == "example" else event.kind, 40),
            text=printable(
                _worded({key: value for key, value in event.detail.items() if key != "what"}),
                200,
            ),
        )
        for event in sorted(events, key=lambda event: event.t_ns)
        if event.kind not in _BOOKKEEPING or event.detail.get("what") == "note"
    ]
    marks = _once(marks)
    return tuple(marks[:_MAX_EVENTS]), max(0, len(marks) - _MAX_EVENTS)


def _worded(value: Any) -> str:
    """What an event tells, as a person would write it down; not what is empty, nor instants: the mark has its own."""
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{short(value, 5)}"
        case Mapping():
            there = {str(key): one for key, one in value.items() if one not in (None, "", (), [], {})}
            said = [_named(key, one) for key, one in there.items() if not key.endswith("_ns")]
            return ", ".join(one for one in said if one)
        case list() | tuple():
            return " ".join(map(_worded, value))
    return str(value)


def _named(key: str, value: Any) -> str:
    name, said = key.replace("_", " "), _worded(value)
    return "" if not said else f"{name} ({said})" if isinstance(value, Mapping) else f"{name} {said}"


def _once(marks: Sequence[EventMark]) -> list[EventMark]:
    """Events that say the same are one, at the first instant, with how often and until when."""
    alike: dict[tuple[str, str], list[EventMark]] = {}
    for mark in marks:
        alike.setdefault((mark.kind, mark.text), []).append(mark)
    return [
        same[0]
        if len(same) == 1
        else EventMark(same[0].t_s, kind, f"{text} ({len(same)} times, the last at {same[-1].t_s:.1f} s)".strip())
        for (kind, text), same in alike.items()
    ]


def _limits(result: Result, run: Mapping[str, Any]) -> Mapping[str, float]:
    """From the checks; where none was judged, from the scenario."""
    judged = {
        name: check.limit for check in result.checks if (name := percentile_of(check)) and check.limit is not None
    }
    scenario = run.get("scenario")
    slo = scenario.get("slo") if isinstance(scenario, Mapping) else None
    if judged or not isinstance(slo, Mapping):
        return judged
    return {
        key.removesuffix("_ms").replace("_", "."): float(value)
        for key, value in slo.items()
        if re.fullmatch(r"p\d+(_\d+)?_ms", key) and isinstance(value, (int, float))
    }


def _timeout_s(run: Mapping[str, Any]) -> float | None:
    """When the client gave up, as far as the run tells."""
    scenario = run.get("scenario")
    value = scenario.get("timeout_s") if isinstance(scenario, Mapping) else run.get("timeout_s")
    return float(value) if isinstance(value, (int, float)) else None
