"""Money per million correct predictions, and the fleet that a peak needs.

    1e6 × Σ(price per hour × quantity) ÷ (3600 × capacity × utilisation × share ok)

The interval joins the ends of the price range with the ends of the capacity's interval: it is a range of what the
inputs allow, not a confidence interval of its own. An unknown price makes the whole unpriced, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from proofload.cost.prices import Price
from proofload.records import Capacity, Cost, Interval
from proofload.report.numbers import short

MILLION = 1e6
SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Instances that a peak needs, and what they cost per hour (None: unpriced)."""

    instances: int
    spare: int
    per_hour: Interval
    currency: str


def cost_per_million(
    capacity: Capacity | float,
    ok_share: float | None,
    resources: Mapping[str, float],
    prices: Mapping[str, Price],
    *,
    utilisation: float = 0.8,
    interval: Interval | None = None,
) -> Cost:
    """Cost of one million correct predictions at a rate that was held.

    `resources`: quantity of each priced unit that one instance occupies ({"vcpu-hour": 2.0} is two
    vCPUs). `interval` bounds the rate where it is given as a number; for a Capacity it is its own.
    """
    rate, bounds = _rate(capacity, interval)
    inputs = {
        "rate_rps": rate,
        "ok_share": ok_share,
        "utilisation": utilisation,
        "resources": dict(resources),
        "prices": {name: _told(prices[name]) for name in resources if name in prices},
    }
    hourly, why = _per_hour(resources, prices)
    if not why:
        why = _unusable(rate, ok_share, utilisation)
    if why or hourly is None or rate is None or ok_share is None:
        return Cost(
            None, Interval(None, None), hourly.currency if hourly else "", priced=False, detail=why, inputs=inputs
        )
    per_rate = MILLION / (SECONDS * utilisation * ok_share)
    point = hourly.middle * per_rate / rate
    sum_text = " + ".join(f"{quantity:g} × {prices[name]}" for name, quantity in resources.items())
    return Cost(
        per_million=point,
        interval=Interval(
            None if bounds.high is None else hourly.low * per_rate / bounds.high,
            None if not bounds.low else hourly.high * per_rate / bounds.low,
        ),
        currency=hourly.currency,
        priced=True,
        detail=(
            f"1e6 × {short(hourly.middle, 4)} {hourly.currency}/h ÷ (3600 s × {short(rate, 4)} requests/s × "
            f"{utilisation:g} utilisation × {short(ok_share, 4)} ok) = {short(point)} {hourly.currency}. "
            f"Prices: {sum_text}."
        ),
        inputs=inputs,
    )


def fleet(
    peak_rps: float,
    capacity_rps: float,
    resources: Mapping[str, float],
    prices: Mapping[str, Price],
    *,
    spare: int = 0,
) -> Fleet:
    """ceil(peak ÷ capacity) + spare instances; rates must be positive.

    A ratio that is whole but for rounding counts as whole.
    """
    if not (peak_rps > 0.0 and capacity_rps > 0.0 and spare >= 0):
        raise ValueError(f"peak {peak_rps}, capacity {capacity_rps} must be positive, spare {spare} not negative")
    instances = math.ceil(peak_rps / capacity_rps * (1.0 - 1e-12)) + spare
    hourly, _ = _per_hour(resources, prices)
    if hourly is None:
        return Fleet(instances, spare, Interval(None, None), "")
    return Fleet(instances, spare, Interval(instances * hourly.low, instances * hourly.high), hourly.currency)


@dataclass(frozen=True, slots=True)
class _Hourly:
    low: float
    high: float
    currency: str

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2.0


def _per_hour(resources: Mapping[str, float], prices: Mapping[str, Price]) -> tuple[_Hourly | None, str]:
    """Price of one instance's hour, or why there is none."""
    if not resources:
        return None, "nothing is known of what the target occupies"
    unknown = [name for name in resources if name not in prices]
    if unknown:
        return None, f"no price is known for {', '.join(unknown)}"
    not_hourly = [name for name in resources if not prices[name].unit.endswith("hour")]
    if not_hourly:
        return None, f"not priced by the hour: {', '.join(not_hourly)}"
    currencies = sorted({prices[name].currency for name in resources})
    if len(currencies) > 1:
        return None, f"prices in different currencies: {', '.join(currencies)}"
    if any(not (math.isfinite(quantity) and quantity > 0.0) for quantity in resources.values()):
        return None, "a quantity of a resource is not positive"
    low = sum(quantity * prices[name].low for name, quantity in resources.items())
    high = sum(quantity * prices[name].high for name, quantity in resources.items())
    return _Hourly(low, high, currencies[0]), ""


def _rate(capacity: Capacity | float, interval: Interval | None) -> tuple[float | None, Interval]:
    if isinstance(capacity, Capacity):
        return capacity.rate_rps, capacity.interval
    return capacity, interval or Interval(capacity, capacity)


def _unusable(rate: float | None, ok_share: float | None, utilisation: float) -> str:
    if rate is None or not rate > 0.0:
        return "no rate was held, so there is nothing to divide by"
    if ok_share is None or not 0.0 < ok_share <= 1.0:
        return "no share of correct predictions is known" if ok_share is None else "no prediction was correct"
    return "" if 0.0 < utilisation <= 1.0 else f"a utilisation of {utilisation:g} is not between 0 and 1"


def _told(price: Price) -> dict[str, float | str]:
    return {
        "low": price.low,
        "high": price.high,
        "currency": price.currency,
        "unit": price.unit,
        "region": price.region,
        "date": price.date,
        "source": price.source,
    }
