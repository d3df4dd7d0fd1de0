"""What a run's target cost, from the prices and resources that were recorded with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proofload.cost.cost import cost_per_million, fleet
from proofload.cost.prices import Price
from proofload.procedures import Evidence
from proofload.procedures._energy import consumed
from proofload.procedures._measured_phase import MeasuredPhase
from proofload.records import Cost, Interval
from proofload.scenarios import Scenario


def priced(
    evidence: Evidence,
    scenario: Scenario,
    measured: MeasuredPhase,
    rate_rps: float,
    interval: Interval,
    *,
    at_capacity: bool,
) -> Cost:
    """Cost per million correct predictions at a rate. At capacity it is run at `cost.utilisation` of the rate;
    a rate that was merely offered counts as it is. With the energy that the measured phase took, where it was read."""
    phase = measured.summary
    prices = {name: Price(name=name, **entry) for name, entry in evidence.run.get("prices", {}).items()}
    resources = _resources(evidence.run, scenario)
    total = sum(phase.outcomes.values())
    ok_share = phase.outcomes["ok"] / total if total else None
    utilisation = scenario.cost.utilisation if at_capacity else 1.0
    cost = cost_per_million(rate_rps, ok_share, resources, prices, utilisation=utilisation, interval=interval)
    cost = replace(cost, energy=consumed(evidence, measured))
    peak_rps = scenario.cost.peak_rps
    if peak_rps is None or rate_rps <= 0 or not at_capacity:  # how many are needed follows from what one can do
        return cost
    needed = fleet(peak_rps, rate_rps * utilisation, resources, prices, spare=scenario.cost.spare)
    told = {
        "peak_rps": peak_rps,
        "instances": needed.instances,
        "spare": needed.spare,
        "per_hour": [needed.per_hour.low, needed.per_hour.high],
        "currency": needed.currency,
    }
    return replace(cost, inputs={**cost.inputs, "fleet": told})


def _resources(run: Mapping[str, Any], scenario: Scenario) -> Mapping[str, float]:
    """What the target occupies: as the scenario says, or the cores (and accelerator) the lab saw it have."""
    if scenario.cost.resources != "auto":
        return scenario.cost.resources
    placement = run.get("placement", {})
    cores = len(placement.get("target_cores", ()))
    found: dict[str, float] = {"vcpu-hour": float(cores)} if cores else {}
    if placement.get("device", "cpu") != "cpu":
        found["gpu-hour"] = 1.0  # which one is not the lab's to guess: unpriced until the scenario says
    return found
