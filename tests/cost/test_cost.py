"""Cost: the formula, its interval, and unpriced in place of zero."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proofload.cost.cost import cost_per_million, fleet
from proofload.cost.prices import Price
from proofload.records import Capacity, Interval


def price(name: str, low: float, high: float, currency: str = "USD", unit: str = "hour") -> Price:
    return Price(name, low, high, currency, unit, "US", "2025", "a test")


PRICES = {
    "vcpu-hour": price("vcpu-hour", 0.05, 0.10, unit="vCPU-hour"),
    "gpu-hour": price("gpu-hour", 0.5, 0.5),
    "euro-hour": price("euro-hour", 1, 1, currency="EUR"),
    "egress": price("egress", 0.09, 0.09, unit="GB"),
}


def capacity(rate: float | None, low: float | None, high: float | None) -> Capacity:
    return Capacity(rate, Interval(low, high), confirmed=True, steps=(), knee_rps=None)


def test_the_formula_by_hand() -> None:
    # 2 vCPU at 0.075 $/h is 0.15 $/h; 1,000 rps × 0.5 utilisation × 3600 s is 1.8 million an hour.
    cost = cost_per_million(1000.0, 1.0, {"vcpu-hour": 2.0}, PRICES, utilisation=0.5)
    assert cost.per_million == pytest.approx(0.15 / 1.8)
    assert cost.interval.low == pytest.approx(0.10 / 1.8)
    assert cost.interval.high == pytest.approx(0.20 / 1.8)
    assert cost.priced
    assert cost.currency == "USD"
    assert "course" not in cost.detail
    assert "a test" in cost.detail


def test_the_interval_joins_prices_and_capacity() -> None:
    cost = cost_per_million(capacity(1000.0, 900.0, 1200.0), 0.99, {"vcpu-hour": 1.0}, PRICES, utilisation=1.0)
    assert cost.interval.low == pytest.approx(1e6 * 0.05 / (3600 * 1200 * 0.99))
    assert cost.interval.high == pytest.approx(1e6 * 0.10 / (3600 * 900 * 0.99))


def test_an_end_that_capacity_does_not_know_is_open() -> None:
    cost = cost_per_million(capacity(1000.0, 1000.0, None), 1.0, {"gpu-hour": 1.0}, PRICES)
    assert cost.interval.low is None
    assert cost.interval.high == pytest.approx(cost.per_million or 0.0)


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ({"tpu-hour": 1.0}, "tpu-hour"),
        ({"vcpu-hour": 1.0, "tpu-hour": 1.0}, "tpu-hour"),
        ({}, "nothing is known"),
        ({"vcpu-hour": 1.0, "euro-hour": 1.0}, "EUR, USD"),
        ({"egress": 1.0}, "not priced by the hour"),
        ({"vcpu-hour": 0.0}, "not positive"),
    ],
)
def test_an_unknown_price_is_unpriced_and_never_zero(resources: dict[str, float], why: str) -> None:
    cost = cost_per_million(1000.0, 1.0, resources, PRICES)
    assert not cost.priced
    assert cost.per_million is None
    assert cost.interval == Interval(None, None)
    assert why in cost.detail


@pytest.mark.parametrize(("rate", "ok_share"), [(None, 1.0), (0.0, 1.0), (100.0, None), (100.0, 0.0)])
def test_nothing_held_or_nothing_correct_has_no_cost(rate: float | None, ok_share: float | None) -> None:
    cost = cost_per_million(capacity(rate, None, None), ok_share, {"gpu-hour": 1.0}, PRICES)
    assert not cost.priced
    assert cost.per_million is None
    assert cost.detail


@given(
    rate=st.floats(0.1, 1e5),
    spread=st.floats(1.0, 2.0),
    ok_share=st.floats(0.01, 1.0),
    utilisation=st.floats(0.01, 1.0),
    quantity=st.floats(0.1, 64.0),
)
def test_the_cost_lies_in_its_interval_and_falls_with_the_rate(
    rate: float, spread: float, ok_share: float, utilisation: float, quantity: float
) -> None:
    def at(factor: float) -> tuple[float, float, float]:
        held = capacity(rate * factor, rate * factor / spread, rate * factor * spread)
        cost = cost_per_million(held, ok_share, {"vcpu-hour": quantity}, PRICES, utilisation=utilisation)
        assert cost.per_million is not None
        assert cost.interval.low is not None
        assert cost.interval.high is not None
        return cost.interval.low, cost.per_million, cost.interval.high

    low, point, high = at(1.0)
    assert low <= point <= high
    assert at(2.0)[1] == pytest.approx(point / 2)


def test_a_fleet_is_whole_and_spares_are_added() -> None:
    needed = fleet(1001.0, 100.0, {"vcpu-hour": 2.0}, PRICES, spare=1)
    assert needed.instances == 12
    assert needed.per_hour.low == pytest.approx(1.2)
    assert needed.per_hour.high == pytest.approx(2.4)
    assert fleet(0.3, 0.1, {"gpu-hour": 1.0}, PRICES).instances == 3
    assert fleet(300.0, 100.0, {"unknown": 1.0}, PRICES).per_hour == Interval(None, None)
    with pytest.raises(ValueError, match="positive"):
        fleet(100.0, 0.0, {}, PRICES)
