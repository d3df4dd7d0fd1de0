"""What kind of error a feature's differences are. "Fail" is here: the cause is named; of harmless shapes: any is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.feature_values import Values
from proofload.analysis.parity import compare
from proofload.analysis.skew_diagnosis import CONVINCING, diagnose
from proofload.records import Status
from proofload.selftest import Shape

ALPHA = 0.01
DETECT = 0.99
ROWS = 600
Pair = tuple[str, NDArray[np.float64], NDArray[np.float64]]
Make = Callable[[np.random.Generator], Pair]


def create() -> CauseTrial:
    return CauseTrial()


class CauseTrial:
    scenario = "skew"
    decides = "which kind of error a feature has"

    def shapes(self) -> Sequence[Shape]:
        unexplained: dict[str, Make] = {
            "another number altogether": lambda rng: ("amount", rng.lognormal(3, 1, ROWS), rng.lognormal(3, 1, ROWS)),
            "noise of a tenth": _noise,
            "another event's count": _swapped_counts,
            "another event's category": _swapped_categories,
            "another event's hour": lambda rng: ("local_hour", _hours(rng), _hours(rng)),
        }
        errors: dict[str, tuple[str, Make]] = {
            "another unit": ("unit", _unit),
            "another unit for a part of the rows": ("unit", _part_unit),
            "a rate for each of five currencies": ("unit", _currencies),
            "degrees Fahrenheit": ("unit", lambda rng: _affine(rng, 1.8, 32.0)),
            "five hours off": ("timezone", _time_zone),
            "UTC for the local clock": ("timezone", _to_utc),
            "instants an hour off": ("timezone", _instants),
            "rounded to two decimals": ("rounding", lambda rng: _rounded(rng, 2)),
            "cut off to whole numbers": ("rounding", _cut),
            "16-bit floats": ("rounding", _half),
            "missing as zero": ("null-handling", _filled),
            "renumbered categories": ("category-encoding", _renumbered),
            "rare categories unknown": ("category-encoding", _unknown),
        }
        return (
            *(
                Shape(name, "null", lambda rng, make=make: _named(make(rng), ""), alpha=ALPHA)  # type: ignore[misc]
                for name, make in unexplained.items()
            ),
            *(
                Shape(
                    name,
                    "effect",
                    lambda rng, make=make, cause=cause: _named(make(rng), cause),  # type: ignore[misc]
                    magnitude=1.0,
                    detect=DETECT,
                )
                for name, (cause, make) in errors.items()
            ),
        )


def _named(pair: Pair, cause: str) -> Status:
    name, wanted, got = pair
    reference, serving = Values.of_numbers(wanted), Values.of_numbers(got)
    found = compare(reference, serving, 1e-5)
    if not found.any.any():
        return Status.INCONCLUSIVE
    told = diagnose(name, reference, serving, found)
    hit = told.explains >= CONVINCING and (told.cause == cause if cause else bool(told.cause))
    return Status.FAIL if hit else Status.INCONCLUSIVE


def _amounts(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.round(rng.lognormal(3, 1, ROWS), 2)


def _hours(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.clip(rng.normal(14, 4, ROWS), 0, 23.98) // (1 / 60) / 60


def _noise(rng: np.random.Generator) -> Pair:
    amounts = _amounts(rng)
    return "amount", amounts, amounts * (1 + 0.1 * rng.standard_normal(ROWS))


def _swapped_counts(rng: np.random.Generator) -> Pair:
    counts = rng.poisson(12, ROWS).astype(float)
    return "count_30d", counts, rng.permutation(counts)


def _swapped_categories(rng: np.random.Generator) -> Pair:
    codes = rng.integers(0, 15, ROWS).astype(float)
    return "merchant_category", codes, rng.permutation(codes)


def _unit(rng: np.random.Generator) -> Pair:
    amounts = _amounts(rng)
    return "amount", amounts, amounts * float(rng.choice([100.0, 1000.0, 1 / 60, 0.92, 3600.0, 2.2046]))


def _part_unit(rng: np.random.Generator) -> Pair:
    amounts = _amounts(rng)
    return "amount", amounts, np.where(rng.random(ROWS) < 0.2, amounts * 100.0, amounts)


def _currencies(rng: np.random.Generator) -> Pair:
    amounts = rng.lognormal(3, 1, ROWS)
    return "amount", amounts, amounts / rng.choice([1.0, 0.92, 1.17, 1.05, 0.0061], ROWS)


def _affine(rng: np.random.Generator, slope: float, offset: float) -> Pair:
    degrees = np.round(rng.normal(15, 8, ROWS), 1)
    return "temperature", degrees, slope * degrees + offset


def _time_zone(rng: np.random.Generator) -> Pair:
    hours = _hours(rng)
    return "local_hour", hours, (hours - 5) % 24


def _to_utc(rng: np.random.Generator) -> Pair:
    hours = _hours(rng)
    return "hour", hours, (hours - rng.choice([0.0, 1.0, -5.0, 5.5, 9.0], ROWS)) % 24


def _instants(rng: np.random.Generator) -> Pair:
    instants = 1.7e9 + rng.integers(0, 86_400 * 30, ROWS)
    return "event_time", np.asarray(instants, dtype=np.float64), np.asarray(instants + 3600.0)


def _rounded(rng: np.random.Generator, decimals: int) -> Pair:
    ratios = rng.lognormal(0, 1, ROWS)
    return "amount_to_mean", ratios, np.round(ratios, decimals)


def _cut(rng: np.random.Generator) -> Pair:
    amounts = rng.lognormal(3, 1, ROWS)
    return "amount", amounts, np.floor(amounts)


def _half(rng: np.random.Generator) -> Pair:
    ratios = rng.lognormal(0, 1, ROWS)
    return "ratio", ratios, ratios.astype(np.float16).astype(np.float64)


def _filled(rng: np.random.Generator) -> Pair:
    ages = np.where(rng.random(ROWS) < 0.1, np.nan, rng.exponential(300, ROWS))
    return "device_age_days", ages, np.nan_to_num(ages)


def _renumbered(rng: np.random.Generator) -> Pair:
    codes = rng.integers(0, 15, ROWS).astype(float)
    return "merchant_category", codes, rng.permutation(15).astype(float)[codes.astype(int)]


def _unknown(rng: np.random.Generator) -> Pair:
    codes = rng.integers(0, 15, ROWS).astype(float)
    return "merchant_category", codes, np.where(codes < 4, 14.0, codes)
