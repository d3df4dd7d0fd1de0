"""The capacity search on servers whose capacity is known, noise and hysteresis included."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from proofload.analysis.capacity import CapacitySearch, Step
from proofload.analysis.effective import design_effect
from proofload.analysis.knee import knee
from proofload.analysis.percentiles import LEVEL, tail_effect
from proofload.analysis.rule import holds
from proofload.records import Capacity, Status

ALPHA_PASS = 0.01
LIMIT_S = 0.05
Server = Callable[[Step], tuple[Status, bool]]


def search(server: Server, *, start: float = 20.0, top: float = 100_000.0, resolution: float = 0.05) -> Capacity:
    hunt = CapacitySearch(start, top, resolution=resolution)
    for _ in range(60):
        step = hunt.next_step()
        if step is None:
            return hunt.answer()
        assert hunt.next_step() == step
        status, meets = server(step)
        hunt.record(step, status, meets=meets)
    raise AssertionError("the search does not end")


def sharp(capacity: float) -> Server:
    return lambda step: (Status.PASS, True) if step.rate_rps <= capacity else (Status.FAIL, False)


class CountingServer:
    """Independent answers; the share over the limit is 1 % at its capacity and grows steeply with the rate.

    `burst`: chance that noise spoils a step. `hysteresis`: after a failed step the next one is worse.
    """

    def __init__(
        self, rng: np.random.Generator, capacity: float, *, burst: float = 0.0, hysteresis: bool = False
    ) -> None:
        self.rng, self.capacity, self.burst, self.hysteresis = rng, capacity, burst, hysteresis
        self.hurt = False

    def __call__(self, step: Step) -> tuple[Status, bool]:
        share = min(1.0, 0.01 * (step.rate_rps / self.capacity) ** 12)
        if self.rng.random() < self.burst:
            share = min(1.0, share + 0.1)
        if self.hurt:
            share = min(1.0, 2.0 * share)
        n = round(step.rate_rps * (20.0 * step.length if step.purpose == "confirm" else 5.0))
        over = int(self.rng.binomial(n, share))
        confidence = 1.0 - ALPHA_PASS * step.alpha_share
        ruling = holds(over, n, 0.99, effect=1.001, confidence=confidence, alpha_fail=0.001)
        self.hurt = self.hysteresis and ruling.status is Status.FAIL
        return ruling.status, over <= 0.01 * n


class QueueServer:
    """An M/M/1 queue: sojourn times are correlated, and p99 is 4.6 / (rate it can serve − rate offered)."""

    def __init__(self, rng: np.random.Generator, capacity: float) -> None:
        self.rng = rng
        self.serves = capacity + math.log(100.0) / LIMIT_S

    def __call__(self, step: Step) -> tuple[Status, bool]:
        n = round(step.rate_rps * (30.0 * step.length if step.purpose == "confirm" else 5.0))
        between, service = self.rng.exponential(1.0 / step.rate_rps, n), self.rng.exponential(1.0 / self.serves, n)
        walk = np.concatenate(([0.0], np.cumsum(service[:-1] - between[1:])))
        sojourn = ((walk - np.minimum.accumulate(walk) + service) * 1e9).astype(np.int64)
        over = sojourn > LIMIT_S * 1e9
        effect = max(design_effect(over), tail_effect(sojourn, np.sort(sojourn), LEVEL["p99"]))
        confidence = 1.0 - ALPHA_PASS * step.alpha_share
        ruling = holds(int(over.sum()), n, 0.99, effect=effect, confidence=confidence)
        return ruling.status, bool(over.mean() <= 0.01)


@pytest.mark.parametrize("capacity", [3.3, 20.0, 21.0, 640.0, 641.0, 39_999.0])
def test_without_noise_the_answer_is_the_capacity_to_within_the_resolution(capacity: float) -> None:
    found = search(sharp(capacity))
    assert found.confirmed
    assert found.rate_rps is not None
    assert capacity / 1.051 <= found.rate_rps <= capacity
    assert found.interval.low == found.rate_rps
    assert found.interval.high is not None
    assert capacity < found.interval.high <= 1.051 * found.rate_rps
    assert found.censored == ""


def test_a_server_that_holds_all_we_may_ask_is_censored_at_the_maximum() -> None:
    found = search(sharp(1e9), top=1000.0)
    assert (found.rate_rps, found.interval.high, found.censored) == (1000.0, None, "max_rate")
    assert found.confirmed


def test_a_server_that_holds_nothing_has_no_rate() -> None:
    found = search(sharp(0.0))
    assert found.rate_rps is None
    assert not found.confirmed
    assert found.interval.low is None


def test_a_client_that_gives_out_censors_the_answer() -> None:
    found = search(lambda step: (Status.PASS, True) if step.rate_rps <= 700 else (Status.INVALID, False))
    assert found.censored == "client"
    assert found.rate_rps is not None
    assert 700 / 1.051 <= found.rate_rps <= 700
    assert found.interval.high is None


def test_one_invalid_step_is_repeated_and_forgotten() -> None:
    seen: set[float] = set()

    def blip(step: Step) -> tuple[Status, bool]:
        if step.rate_rps == 160.0 and not seen:
            seen.add(step.rate_rps)
            return Status.INVALID, False
        return sharp(640.0)(step)

    found = search(blip)
    assert found.rate_rps is not None
    assert found.rate_rps > 600
    assert found.censored == ""


def test_one_burst_of_noise_does_not_cut_the_search_off() -> None:
    seen: set[float] = set()

    def burst(step: Step) -> tuple[Status, bool]:
        if step.rate_rps == 40.0 and not seen:
            seen.add(step.rate_rps)
            return Status.FAIL, False
        return sharp(640.0)(step)

    found = search(burst)
    assert found.rate_rps is not None
    assert found.rate_rps > 600


def test_a_failed_confirmation_refutes_the_rate_and_bounds_the_interval() -> None:
    def flattering(step: Step) -> tuple[Status, bool]:
        limit = 640.0 if step.purpose == "search" else 600.0
        return sharp(limit)(step)

    found = search(flattering)
    assert found.confirmed
    assert found.rate_rps is not None
    assert found.rate_rps <= 600
    assert found.interval.high is not None
    assert 600 < found.interval.high <= 640


def test_confirmations_are_bounded_and_share_the_error_rate() -> None:
    confirmations: list[Step] = []

    def never(step: Step) -> tuple[Status, bool]:
        if step.purpose == "confirm":
            confirmations.append(step)
            return Status.INCONCLUSIVE, True
        return sharp(640.0)(step)

    found = search(never)
    assert sum(step.alpha_share for step in confirmations) <= 1.0 + 1e-9
    assert [step.rate_rps for step in confirmations] == sorted((step.rate_rps for step in confirmations), reverse=True)
    assert not found.confirmed
    assert found.rate_rps is not None
    assert found.interval.low == found.rate_rps


def test_what_every_confirmation_refutes_is_not_reported() -> None:
    found = search(lambda step: (Status.FAIL, False) if step.purpose == "confirm" else sharp(640.0)(step))
    assert not found.confirmed
    assert found.rate_rps is None or found.rate_rps < 640 / 1.05**3


def test_inconclusive_search_steps_are_judged_by_what_was_seen() -> None:
    found = search(
        lambda step: (Status.INCONCLUSIVE, step.rate_rps <= 640.0) if step.purpose == "search" else (Status.PASS, True)
    )
    assert found.rate_rps is not None
    assert 600 < found.rate_rps <= 640
    assert found.interval.high is None  # nothing failed its test, so nothing is known to be too much


@pytest.mark.parametrize(("burst", "hysteresis"), [(0.0, False), (0.05, False), (0.0, True), (0.05, True)])
def test_the_confirmed_rate_really_holds_in_99_of_100(burst: float, *, hysteresis: bool) -> None:
    rng = np.random.default_rng(1)
    repeats, wrong, useful, outside = 250, 0, 0, 0
    for _ in range(repeats):
        capacity = float(rng.uniform(100, 3000))
        found = search(CountingServer(rng, capacity, burst=burst, hysteresis=hysteresis))
        if not found.confirmed or found.rate_rps is None:
            continue
        wrong += found.rate_rps > capacity
        useful += found.rate_rps > 0.8 * capacity
        high = found.interval.high
        outside += high is not None and high < capacity and burst == 0.0 and not hysteresis
    assert wrong <= stats.binom.isf(0.001, repeats, ALPHA_PASS)
    assert outside <= stats.binom.isf(0.001, repeats, ALPHA_PASS)
    assert useful >= 0.8 * repeats


def test_the_confirmed_rate_of_a_queue_really_holds() -> None:
    rng = np.random.default_rng(2)
    repeats, wrong, confirmed = 60, 0, 0
    for _ in range(repeats):
        capacity = float(rng.uniform(300, 1500))
        found = search(QueueServer(rng, capacity), resolution=0.1)
        if found.confirmed and found.rate_rps is not None:
            confirmed += 1
            wrong += found.rate_rps > capacity
    assert confirmed >= repeats / 2
    assert wrong <= stats.binom.isf(0.001, repeats, ALPHA_PASS)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="start_rps"):
        CapacitySearch(100, 50)
    with pytest.raises(ValueError, match="resolution"):
        CapacitySearch(1, 50, resolution=0)


def test_the_knee_of_a_queue_is_before_the_wall() -> None:
    rates = [10.0, 20.0, 40.0, 80.0, 90.0, 95.0, 99.0]
    found = knee(rates, [460.0 / (100.0 - rate) for rate in rates])
    assert found is not None
    assert 40 <= found <= 95


@pytest.mark.parametrize(
    ("rates", "latencies"),
    [
        ([1.0, 2.0, 3.0], [1.0, 1.0, 50.0]),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 5.1, 4.9, 5.0, 5.2]),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 4.0, 8.0, 16.0]),
    ],
)
def test_few_points_a_flat_and_a_straight_curve_have_no_knee(rates: list[float], latencies: list[float]) -> None:
    assert knee(rates, latencies) is None


def test_the_search_comes_down_by_halves() -> None:
    found = search(sharp(3.3))
    assert [step["rate_rps"] for step in found.steps[:5]] == [20.0, 20.0, 10.0, 5.0, 2.5]


def test_an_invalid_confirmation_is_repeated_as_it_was() -> None:
    asked: list[float] = []

    def blip(step: Step) -> tuple[Status, bool]:
        if step.purpose == "confirm":
            asked.append(step.rate_rps)
            return (Status.INVALID, False) if len(asked) == 1 else (Status.PASS, True)
        return sharp(640.0)(step)

    assert search(blip).confirmed
    assert len(asked) == 2
    assert asked[0] == asked[1]
