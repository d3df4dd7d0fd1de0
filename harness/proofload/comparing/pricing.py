"""What an option costs: at the rate it was confirmed to hold, or else at the rate that all were offered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proofload.comparing.found import UNKNOWN, Price
from proofload.comparing.readings import Reading
from proofload.cost.cost import cost_per_million, fleet
from proofload.cost.prices import Price as TablePrice
from proofload.records import Interval, Result, Status
from proofload.scenarios import Scenario

HOURS_A_MONTH = 730.0


def at_capacity(result: Result, scenario: Scenario) -> Price | None:
    """From a capacity run; None where it confirmed no rate, or did not pass."""
    found, cost = result.capacity, result.cost
    if result.status is not Status.PASS:
        return None
    if found is None or not found.confirmed or found.rate_rps is None or cost is None:
        return None
    peak_rps = scenario.cost.peak_rps
    if peak_rps is None:
        return Price(cost, at_capacity=True, capacity=found)
    resources, prices = _bill(cost.inputs)
    usable = scenario.cost.utilisation
    rates = Interval(found.interval.low, found.rate_rps if found.censored else found.interval.high)
    few, many = (
        None if not rate else fleet(peak_rps, rate * usable, resources, prices, spare=scenario.cost.spare)
        for rate in (rates.high, rates.low)
    )
    return Price(
        cost=cost,
        at_capacity=True,
        capacity=found,
        instances=Interval(
            None if few is None else float(few.instances), None if many is None else float(many.instances)
        ),
        per_month=Interval(
            None if few is None else _monthly(few.per_hour.low), None if many is None else _monthly(many.per_hour.high)
        ),
    )


def at_offered_rate(result: Result, readings: Sequence[Reading]) -> Price | None:
    """From lifetimes under load: what the share that was answered well cost, whatever else it could have carried."""
    if result.cost is None or not readings:
        return None
    resources, prices = _bill(result.cost.inputs)
    due = sum(one.due for one in readings)
    rate = sum(one.offered_rps for one in readings) / len(readings)
    share = sum(one.ok for one in readings) / due if due else None
    cost = cost_per_million(rate, share, resources, prices, utilisation=1.0, interval=Interval(rate, rate))
    return Price(cost, at_capacity=False, instances=UNKNOWN, per_month=UNKNOWN)


def _bill(inputs: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, TablePrice]]:
    """Resources and prices as the run recorded them."""
    prices = {name: TablePrice(name=name, **told) for name, told in inputs.get("prices", {}).items()}
    return dict(inputs.get("resources", {})), prices


def _monthly(per_hour: float | None) -> float | None:
    return None if per_hour is None else per_hour * HOURS_A_MONTH
