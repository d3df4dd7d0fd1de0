"""Recorded runs made of arrays: what the store would give back, without a store, a server or a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proofload.analysis.summary import summarise
from proofload.records import (
    SAMPLE_DTYPE,
    Capacity,
    Check,
    ClientHealth,
    Cost,
    Distribution,
    Event,
    Interval,
    Outcome,
    Phase,
    PhaseSummary,
    Quantile,
    Result,
    Samples,
    Status,
    Validity,
)
from proofload.testing.synthetic_run import SYNTHETIC_ENVIRONMENT

S = 1_000_000_000
MS = 1_000_000
START = 7_000 * S
HOSTILE = '<script>alert(1)</script> & "q" | `x` $\\frac_{x}$ ![i](http://evil.example/i.png)\x1b[31m\u202e'


@dataclass(frozen=True)
class Series:
    t_ns: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class FakeRecord:
    """Has everything that `proofload.report.view.Recorded` asks for."""

    path: Path
    run: Mapping[str, Any]
    phases: tuple[Phase, ...]
    events: tuple[Event, ...]
    result: Result
    names: Mapping[tuple[str, int], str]
    table: NDArray[Any]
    series: Mapping[tuple[int, str, str], Series] = field(default_factory=dict)

    def samples(self, phase: int | None = None) -> Samples:
        return Samples(self.table if phase is None else self.table[self.table["phase"] == phase])

    def readings(self) -> Mapping[tuple[int, str, str], Series]:
        return self.series


def phase_samples(
    phase: Phase, rng: np.random.Generator, *, service_ms: float = 4.0, load: float = 0.3, bad: Mapping[Outcome, float]
) -> NDArray[Any]:
    """Poisson arrivals; latency grows as 1 / (1 − load); `bad` outcomes at the given shares."""
    n = phase.planned
    rows = np.zeros(n, SAMPLE_DTYPE)
    rows["seq"] = np.arange(n)
    rows["phase"] = phase.index
    rows["intended_ns"] = phase.start_ns + np.sort(rng.uniform(0, phase.duration_s * S, n)).astype(np.int64)
    rows["dispatched_ns"] = rows["intended_ns"] + (rng.exponential(0.02 * MS, n)).astype(np.int64)
    wait = rng.exponential(max(load, 0.01) / max(1 - load, 0.03) * service_ms * MS, n) * (rng.random(n) < load)
    rows["sent_ns"] = rows["dispatched_ns"] + rng.exponential(0.05 * MS, n).astype(np.int64)
    served = rng.lognormal(np.log(service_ms * MS), 0.35, n)
    rows["done_ns"] = rows["sent_ns"] + (wait + served).astype(np.int64)
    rows["status"] = 200
    rows["version"] = 1
    outcome = np.full(n, Outcome.OK, np.uint8)
    draw = rng.random(n)
    edge = 0.0
    for kind, share in bad.items():
        hit = (draw >= edge) & (draw < edge + share)
        edge += share
        outcome[hit] = kind
        rows["version"][hit] = 0
        if kind is Outcome.ERROR:
            rows["error"][hit], rows["status"][hit] = 2, 500
        elif kind is Outcome.SHED:
            rows["status"][hit] = 503
        elif kind is Outcome.WRONG:
            rows["error"][hit] = 3
        elif kind is Outcome.TIMEOUT:
            rows["status"][hit] = -1
            rows["done_ns"][hit] = rows["intended_ns"][hit] + 1 * S
    rows["outcome"] = outcome
    return rows


def build_run(
    name: str = "flask",
    *,
    procedure: str = "capacity",
    capacity_rps: float = 500.0,
    service_ms: float = 4.0,
    status: Status = Status.PASS,
    error_text: str = "http-500",
    version: str = "v2",
    bad: Mapping[Outcome, float] | None = None,
    cost: bool = True,
    invalid: bool = False,
    probes: bool = True,
    seconds: float = 6.0,
    seed: int = 1,
    limit_ms: float = 120.0,
) -> FakeRecord:
    """A capacity search with its confirmation, or one load phase."""
    rng = np.random.default_rng(seed)
    steps = [0.2, 0.4, 0.8, 1.2, 1.0] if procedure == "capacity" else [1.0]
    phases, tables, at = [], [], START
    warm = Phase(
        0, "warm-up", "poisson", capacity_rps / 4, seconds / 2, round(capacity_rps / 4 * seconds / 2), at, False
    )
    plan = [(warm, 0.2)]
    at += round((seconds / 2 + 0.5) * S)
    for index, factor in enumerate(steps, start=1):
        final = index == len(steps)
        length = seconds * 3 if final else seconds
        rate = capacity_rps * factor
        kind = "confirm" if final else "search"
        label = f"{kind} {round(rate)}/s" if procedure == "capacity" else "load"
        plan.append((Phase(index, label, "poisson", rate, length, round(rate * length), at, final), factor * 0.8))
        at += round((length + 0.5) * S)
    for phase, load in plan:
        extra = {Outcome.TIMEOUT: 0.03, Outcome.SHED: 0.08} if load > 0.9 else {}
        tables.append(phase_samples(phase, rng, service_ms=service_ms, load=load, bad={**(bad or {}), **extra}))
        phases.append(phase)
    summaries = []
    for phase, rows in zip(phases, tables, strict=True):
        cut = phase.start_ns + S if phase.measured else 0
        summaries.append(summarise(phase, Samples(rows), cut_ns=cut))
    result = _result(
        name=name,
        procedure=procedure,
        phases=phases,
        summaries=summaries,
        status=status,
        capacity_rps=capacity_rps,
        cost=cost,
        invalid=invalid,
        limit_ms=limit_ms,
    )
    events = (
        *(Event(phase.start_ns, "phase", {"phase": phase.index}) for phase in phases),
        Event(phases[-1].start_ns + 2 * S, "client-warning", {"text": "collection took 3 ms", "worker": 0}),
        Event(phases[-1].start_ns, "example", {"what": "error", "kind": error_text, "detail": f"body: {error_text}"}),
        Event(phases[-1].start_ns, "example", {"what": "wrong", "kind": "wrong-answer", "body": '{"prediction": 0.5}'}),
    )
    return FakeRecord(
        path=Path("out") / name,
        run={"scenario": {"timeout_s": 1.0, "name": procedure}, "seed": seed},
        phases=tuple(phases),
        events=events,
        result=result,
        names={("error", 2): error_text, ("error", 3): "wrong-answer", ("version", 1): version},
        table=np.concatenate(tables),
        series=_readings(phases, rng, service_ms) if probes else {},
    )


def _result(
    *,
    name: str,
    procedure: str,
    phases: Sequence[Phase],
    summaries: Sequence[PhaseSummary],
    status: Status,
    capacity_rps: float,
    cost: bool,
    invalid: bool,
    limit_ms: float,
) -> Result:
    final = summaries[-1]
    p99 = final.latency.quantiles["p99"]
    ok = final.outcomes["ok"] / max(1, sum(final.outcomes.values()))
    steps = tuple(
        {
            "rate_rps": phase.rate_rps,
            "status": "fail" if phase.rate_rps > capacity_rps * 1.01 else "pass",
            "p50_ms": summary.latency.quantiles["p50"].value,
            "p99_ms": summary.latency.quantiles["p99"].value,
            "goodput_rps": summary.goodput_rps,
            "ok_share": summary.outcomes["ok"] / max(1, sum(summary.outcomes.values())),
            "purpose": "confirm" if phase.measured else "search",
        }
        for phase, summary in list(zip(phases, summaries, strict=True))[1:]
    )
    verdict = Status.INVALID if invalid else status
    lag = Distribution(
        1000,
        {"p50": Quantile(0.5, 0.02, Interval(0.019, 0.021)), "p99": Quantile(0.99, 0.11, Interval(0.1, 0.13))},
        0.8,
    )
    return Result(
        scenario="capacity-at-slo" if procedure == "capacity" else "load",
        procedure=procedure,
        target={"name": name, "transport": "http", "model": "fraud"},
        status=verdict,
        validity=(
            Validity("send-lag", not invalid, "send lag p99 was 0.11 ms, allowed 1.00 ms", "give the client a core"),
            Validity("client-cpu", True, "the busiest engine used 34 % of its core", ""),
            Validity("samples-lost", True, "every planned request has a record", ""),
        ),
        checks=(
            Check(
                "slo.p99_ms",
                status if status is not Status.INVALID else Status.PASS,
                p99.value,
                limit_ms,
                "ms",
                p99.interval,
                f"{final.latency.n} answers, binomial rule at 99 %",
                "about 12,000 more requests" if status is Status.INCONCLUSIVE else "",
            ),
            Check("slo.ok_share", Status.PASS, ok, 0.9, "share", Interval(ok * 0.999, min(1, ok * 1.0005)), "counted"),
        ),
        phases=tuple(summaries),
        client=ClientHealth(lag, 0.34, 1, 0.002, 0, 1.5),
        cost=Cost(
            1e6 * 0.07 / (3600 * capacity_rps),
            Interval(1e6 * 0.07 / (3600 * capacity_rps * 1.04), 1e6 * 0.07 / (3600 * capacity_rps * 0.95)),
            "USD",
            cost,
            "1e6 × 0.07 USD/h ÷ (3600 × capacity × share ok); vCPU, us-east, 2025-03, course notes"
            if cost
            else "no price is known for this host",
        ),
        environment=SYNTHETIC_ENVIRONMENT,
        command=f"proofload run {procedure} --target {name}",
        started_at="2025-11-02T10:00:00.123+00:00",
        duration_s=84.0,
        capacity=Capacity(
            rate_rps=capacity_rps,
            interval=Interval(capacity_rps * 0.95, capacity_rps * 1.04),
            confirmed=status is Status.PASS,
            steps=steps,
            knee_rps=capacity_rps * 0.9,
        )
        if procedure == "capacity"
        else None,
        warmup={"method": "change point", "left_out_s": 1.0},
    )


def _readings(
    phases: Sequence[Phase], rng: np.random.Generator, service_ms: float
) -> dict[tuple[int, str, str], Series]:
    end = phases[-1].start_ns + round(phases[-1].duration_s * S)
    t = np.arange(START, end, S // 2, dtype=np.int64)
    served = np.cumsum(rng.poisson(200, len(t))).astype(np.float64)
    found = {
        (0, "process", "cpu_share"): Series(t, rng.normal(0.8, 0.05, len(t)).clip(0)),
        (0, "process", "uss_bytes"): Series(t, 180e6 + np.linspace(0, 4e6, len(t))),
        (0, "process", "rss_bytes"): Series(t, 220e6 + np.linspace(0, 4e6, len(t))),
        (0, "process", "fds"): Series(t, np.full(len(t), 41.0)),
        (0, "process", "threads"): Series(t, np.full(len(t), 12.0)),
    }
    for name, mean_s in (
        ("queue", service_ms * 0.2e-3),
        ("compute", service_ms * 0.55e-3),
        ("request", service_ms * 0.9e-3),
    ):
        found[0, "prometheus", f'proofload_{name}_seconds_count{{route="/v1/predict"}}'] = Series(t, served)
        found[0, "prometheus", f'proofload_{name}_seconds_sum{{route="/v1/predict"}}'] = Series(t, served * mean_s)
    return found


def build_empty(name: str = "kafka") -> FakeRecord:
    """A run that ended before its first request."""
    result = Result(
        scenario="capacity-at-slo",
        procedure="capacity",
        target={"name": name},
        status=Status.INCONCLUSIVE,
        validity=(),
        checks=(),
        phases=(),
        client=None,
        cost=None,
        environment={},
        command="",
        started_at="",
        duration_s=0.0,
    )
    return FakeRecord(Path("out") / name, {}, (), (), result, {}, np.zeros(0, SAMPLE_DTYPE))


@pytest.fixture(scope="session")
def make_run() -> Callable[..., FakeRecord]:
    return build_run


@pytest.fixture(scope="session")
def empty_run() -> FakeRecord:
    return build_empty()


@pytest.fixture(scope="session")
def hostile_run() -> FakeRecord:
    return build_run(
        HOSTILE,
        error_text=f"{HOSTILE}\n```\n</code></pre>",
        version=HOSTILE,
        bad={Outcome.ERROR: 0.02, Outcome.WRONG: 0.01},
    )
