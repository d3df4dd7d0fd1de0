"""Energy and accelerators in a report: told where they were read, and nowhere else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from proofload.discovery import module_for
from proofload.records import Energy, Interval, Status
from proofload.report.reduce.readings import Gauge
from proofload.report.sections.gauges import named
from proofload.report.view import RunView, view

READ = Energy(
    per_million_j=123_456.0,
    interval=Interval(120_000.0, 127_000.0),
    joules=7_407.0,
    predictions=60_000,
    covered_s=29.5,
    mean_w=251.0,
    by="counter",
    idle_share=0.31,
    detail="Measured by the boards' own counter of energy.",
)


@pytest.fixture
def run(make_run: Callable[..., Any]) -> RunView:
    return view(make_run("fastapi"))


def with_energy(run: RunView, energy: Energy | None, status: Status = Status.PASS) -> RunView:
    assert run.result.cost is not None
    cost = dataclasses.replace(run.result.cost, energy=energy)
    return dataclasses.replace(run, result=dataclasses.replace(run.result, cost=cost, status=status))


def markdown(*runs: RunView) -> str:
    return str(module_for("report format", "md").create().render(runs))


def test_energy_stands_beside_the_cost_with_interval_method_and_share_at_rest(run: RunView) -> None:
    shown = markdown(with_energy(run, READ))
    assert "J per million correct predictions" in shown
    for figure in ("123,000", "120,000–127,000", "251", "31.0", "60,000", "29.5"):
        assert figure in shown
    assert "own counter of energy" in shown
    assert "did not pass" not in shown


def test_what_was_not_read_is_not_told(run: RunView) -> None:
    assert "J per million" not in markdown(with_energy(run, None))
    unknown = dataclasses.replace(READ, idle_share=None, interval=Interval(None, None))
    shown = markdown(with_energy(run, unknown))
    assert "unknown" in shown
    assert "n/a" in shown


def test_energy_of_a_run_that_did_not_pass_says_so(run: RunView) -> None:
    assert "did not pass (fail)" in markdown(with_energy(run, READ, Status.FAIL))


def gauge(name: str, *values: float) -> Gauge:
    read = np.array(values)
    return Gauge(
        "gpu", name, 0, np.arange(len(read), dtype=np.float64), read, read[0], read[-1], read.mean(), max(read)
    )


def test_accelerators_are_named_with_units_and_what_never_happened_is_left_out(run: RunView) -> None:
    gauges = (gauge("power_w", 100.0, 300.0), gauge("utilisation", 0.5, 0.7), gauge("throttle_thermal", 0.0, 0.5))
    shown = markdown(
        dataclasses.replace(run, gauges=(*gauges, gauge("throttle_power_brake", 0.0), gauge("energy_j", 9.0)))
    )
    assert "GPU: power of the boards (W)" in shown
    assert "GPU: clock held down by heat (% of readings)" in shown
    assert "power supply" not in shown
    assert named(gauge("energy_j", 9.0)) == ("", 1.0)
    assert named(gauge("utilisation", 0.5)) == ("GPU: busy (% of the time)", 0.01)
