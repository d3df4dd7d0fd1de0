"""How does serving differ from training? Each function knows one kind of error, and looks at the rows that differ.

`wanted` is what training has, `got` what serving has, both numbers, in rows that differ; what comes back says how
many of these rows the error explains. Nothing but the values is looked at, and the feature's name where a
number alone could mean anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_FACTORS = {
    60.0: "minutes and hours, or seconds and minutes",
    24.0: "hours and days",
    3600.0: "seconds and hours",
    86400.0: "seconds and days",
    1440.0: "minutes and days",
    7.0: "days and weeks",
    100.0: "cents for units, or percent for shares",
    1000.0: "thousands",
    1e6: "millions",
    1.609344: "miles and kilometres",
    2.2046226: "kilograms and pounds",
    3.2808399: "metres and feet",
    2.54: "inches and centimetres",
    1024.0: "binary thousands",
    57.29578: "degrees and radians",
}
_TIGHT = 5e-3
"""Ratios this near, relatively, count as one: values may have been rounded after they were scaled."""
_FEW = 8
_SMALLEST_CLUSTER = 0.02
_DISTINCT = 3
_MANY = 10
CONVINCING_PART = 0.8
_TIME_NAME = re.compile(
    r"hour|time|minute|second|day|week|month|date|since|age|last|recency|elapsed|clock"
    r"|(?:^|[_.])(?:h|hr|hrs|at|ts|tz|dow|tod)(?:[_.]|$)",
    re.IGNORECASE,
)
_AGE_NAME = re.compile(r"age|since|recency|elapsed|staleness|freshness", re.IGNORECASE)
_WEEKDAY_NAME = re.compile(r"week|dow|day", re.IGNORECASE)
_QUARTERS_PER_HOUR = 4
_LARGEST_SHIFT_H = 26.0
"""UTC+14 against UTC−12."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of error: a cause of `proofload.verdict.causes`, the share of the rows that it explains, in words."""

    cause: str
    share: float
    says: str


def constant_factor(wanted: Numbers, got: Numbers) -> Pattern | None:
    """Serving is a constant times training: another unit. One of a few constants: one for each currency, say."""
    usable = np.isfinite(wanted) & np.isfinite(got) & (wanted != 0) & (got != 0)
    if not usable.any():
        return None
    ratio, base = got[usable] / wanted[usable], wanted[usable]
    found = [
        (float(np.median(ratio[rows])), int(rows.sum()))
        for rows in _clusters(ratio)
        if len(np.unique(base[rows])) >= _DISTINCT
        and rows.sum() >= max(_DISTINCT, _SMALLEST_CLUSTER * len(wanted))
        and _apart_from_one(ratio[rows])
    ]
    found = sorted(found, key=lambda item: -item[1])[:_FEW]
    if not found:
        return None
    first, count = found[0]
    if count >= 0.9 * len(wanted) or len(found) == 1:
        return Pattern("unit", count / len(wanted), f"serving = {_factor(first)} × training")
    if not _many_valued(base):
        return None  # small whole numbers have few ratios by nature
    factors = ", ".join(_factor(factor, told=False) for factor, _ in found)
    total = sum(rows for _, rows in found)
    return Pattern("unit", total / len(wanted), f"serving = training × one of {len(found)} constants ({factors})")


def affine(wanted: Numbers, got: Numbers) -> Pattern | None:
    """Serving is a × training + b, as degrees Celsius and Fahrenheit are."""
    finite = np.isfinite(wanted) & np.isfinite(got)
    left, right = wanted[finite], got[finite]
    if len(np.unique(left)) < _MANY:
        return None
    order = np.argsort(left, kind="stable")
    half = len(order) // 2
    low, high = order[:half], order[-half:]
    apart = left[high] - left[low]
    steep = apart > 0
    if not steep.any():
        return None
    slope = float(np.median((right[high] - right[low])[steep] / apart[steep]))
    offset = float(np.median(right - slope * left))
    near = np.abs(right - (slope * left + offset)) <= 1e-3 * max(float(np.ptp(right)), 1e-12)
    if len(np.unique(left[near])) < CONVINCING_PART * len(np.unique(left)):  # a few frequent values are no line
        return None
    if slope == 0 or not np.isfinite(slope) or (abs(slope - 1) < 1e-9 and offset == 0):
        return None
    told = f"{_short(slope)} × training {'+' if offset >= 0 else '−'} {_short(abs(offset))}"
    if abs(slope - 1) < 1e-6:
        told = f"training {'+' if offset >= 0 else '−'} {_short(abs(offset))}"
    return Pattern("unit", int(near.sum()) / len(wanted), f"serving = {told}")


def whole_hours(wanted: Numbers, got: Numbers, name: str) -> Pattern | None:
    """Serving is off by whole (or half, or quarter) hours, the same few for all rows: another time zone."""
    finite = np.isfinite(wanted) & np.isfinite(got)
    left, right = wanted[finite], got[finite]
    if len(left) < _DISTINCT:
        return None
    day = _weekday(left, right, name)
    tried = (
        (_of_the_day(left, right, name), _instants(left, right), _durations(left, right, name))
        if day is None
        else (day,)
    )
    best = max(filter(None, tried), key=lambda pattern: pattern.share, default=None)
    return None if best is None else Pattern(best.cause, best.share * len(left) / len(wanted), best.says)


def _of_the_day(left: Numbers, right: Numbers, name: str) -> Pattern | None:
    both = np.concatenate([left, right])
    if both.min() < 0 or both.max() > 24 or (np.ptp(both) <= 7 and not re.search("hour", name, re.IGNORECASE)):
        return None
    if len(np.unique(left)) < _DISTINCT or (_on_quarters(left) and not _TIME_NAME.search(name)):
        return None
    return _shifts((right - left + 12) % 24 - 12, "modulo 24", grid_is_news=not _on_quarters(left))


def _instants(left: Numbers, right: Numbers) -> Pattern | None:
    size = float(np.median(np.abs(left)))
    per_second = next((scale for top, scale in ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9)) if size < top), 0.0)
    if size < 1e8 or not per_second:
        return None
    return _shifts((right - left) / (3600 * per_second), "", grid_is_news=True)


def _durations(left: Numbers, right: Numbers, name: str) -> Pattern | None:
    for per_hour in (1 / 24,) if "day" in name.lower() else (1.0, 60.0, 3600.0):
        hours = (right - left) / per_hour
        if per_hour > 1 and float(np.median(np.abs(hours))) < 0.2:
            continue
        news = not _on_quarters(left / per_hour)
        if not news and not _TIME_NAME.search(name):
            continue
        found = _shifts(hours, "", grid_is_news=news)
        if found is not None and found.share >= 0.5:
            return found
    return None


def _weekday(left: Numbers, right: Numbers, name: str) -> Pattern | None:
    both = np.concatenate([left, right])
    if not _WEEKDAY_NAME.search(name) or both.min() < 0 or both.max() > 7 or (both != np.round(both)).any():
        return None
    beside = np.isin((right - left) % 7, (1, 6))
    return Pattern("timezone", float(beside.mean()), "serving is on the day beside training's")


def _shifts(hours: Numbers, told: str, *, grid_is_news: bool) -> Pattern | None:
    quarters = hours * _QUARTERS_PER_HOUR
    on_grid = (np.abs(quarters - np.round(quarters)) < 2e-3) & (np.abs(hours) <= _LARGEST_SHIFT_H) & (hours != 0)
    steps, counts = np.unique(np.round(quarters[on_grid]), return_counts=True)
    order = np.argsort(-counts)
    least = max(2, _SMALLEST_CLUSTER * len(hours))
    kept = [place for place in order[: _FEW if grid_is_news else 6] if counts[place] >= least and steps[place] != 0]
    if not kept:
        return None
    shown = ", ".join(f"{steps[place] / _QUARTERS_PER_HOUR:+g} h" for place in kept[:5])
    how = f" {told}" if told else ""
    return Pattern("timezone", float(counts[kept].sum()) / len(hours), f"serving is off by whole hours{how} ({shown})")


def older(wanted: Numbers, got: Numbers, name: str) -> Pattern | None:
    """An age that is larger in serving throughout, by no constant: what it is the age of is out of date."""
    if not _AGE_NAME.search(name) or len(wanted) < _DISTINCT:
        return None
    share = float((got > wanted).mean())
    typical = float(np.median(got - wanted))
    if share < 0.95 or typical <= 0 or float(np.median(np.abs(got - wanted - typical))) < 0.05 * typical:
        return None
    return Pattern("staleness", share, f"it is older in serving, by {_short(typical)} in the median")


def rounded(wanted: Numbers, got: Numbers) -> Pattern | None:
    """One of the two is the other one rounded (to decimals, to significant digits, to a short float) or cut off."""
    finite = np.isfinite(wanted) & np.isfinite(got)
    best: Pattern | None = None
    for exact, coarse, where in ((wanted[finite], got[finite], "serving"), (got[finite], wanted[finite], "training")):
        if not len(exact) or len(np.unique(exact)) < _DISTINCT or not coarse.any():
            continue
        share, how = _coarser(exact, coarse)
        share *= len(exact) / len(wanted)
        if best is None or share > best.share:
            best = Pattern("rounding", share, f"{where} is {how}")
    return best


def _coarser(exact: Numbers, coarse: Numbers) -> tuple[float, str]:
    off = np.abs(coarse - exact)
    tried: list[tuple[float, str]] = []
    several = len(np.unique(coarse)) >= _DISTINCT
    for decimals in range(8, -7, -1):
        step = 10.0**-decimals
        if step > 1 and (not several or step > np.ptp(exact)):
            break
        dust = np.maximum(np.abs(coarse) * 1.2e-7 / step, 1e-9)
        places = coarse / step
        on_grid = (dust < 0.05) & (np.abs(places - np.round(places)) <= dust)
        places_told = "1 decimal" if decimals == 1 else f"{decimals} decimals"
        unit = places_told if decimals > 0 else ("whole numbers" if decimals == 0 else f"steps of {step:g}")
        near = on_grid & (off <= step * 0.5 * (1 + 1e-6) + dust * step)
        cut = on_grid & (off < step * (1 + 1e-9))
        same_side = max(np.mean(coarse[cut] <= exact[cut]), np.mean(coarse[cut] >= exact[cut])) if cut.any() else 0.0
        tried.append((float(near.mean()), f"rounded to {unit}"))
        if same_side >= 0.99 or (cut.any() and np.mean(np.abs(coarse[cut]) <= np.abs(exact[cut])) >= 0.99):
            tried.append((float(cut.mean()) * 0.999, f"cut off to {unit}"))
    for digits in range(6, 0, -1):
        with np.errstate(divide="ignore", invalid="ignore"):
            step_of = 10.0 ** (np.floor(np.log10(np.abs(exact))) - digits + 1)
            same = np.isclose(np.round(exact / step_of) * step_of, coarse, rtol=1e-6, atol=0)
        tried.append((float(same.mean()) * 0.998, f"rounded to {digits} significant digits"))
    with np.errstate(over="ignore"):
        half = np.isclose(exact.astype(np.float16).astype(np.float64), coarse, rtol=1e-6, atol=0)
    tried.append((float(half.mean()) * 0.998, "rounded to 16-bit floats"))
    best = max(share for share, _ in tried)
    return next((share, how) for share, how in tried if share >= best - 0.02)  # the finest that does about as well


def _clusters(ratio: Numbers) -> list[NDArray[np.bool_]]:
    """Groups of ratios that are nearly equal, the most frequent first."""
    found = []
    with np.errstate(divide="ignore"):
        log = np.log(np.abs(ratio)) * 1.0
    left = np.isfinite(log)
    for _ in range(_FEW):
        if not left.any():
            break
        values = np.sort(log[left])
        ends = np.searchsorted(values, values + _TIGHT, side="right")
        widest = int(np.argmax(ends - np.arange(len(values))))
        centre = float(np.median(values[widest : ends[widest]]))
        near = left & (np.abs(log - centre) <= _TIGHT)
        signs = np.sign(ratio[near])
        near &= np.sign(ratio) == (1.0 if (signs > 0).sum() * 2 >= len(signs) else -1.0)
        found.append(near)
        left &= ~near
    return found


def _apart_from_one(ratios: Numbers) -> bool:
    """Whether these are one factor, and not values that scatter about no factor at all."""
    log = np.log(np.abs(ratios))
    centre = float(np.median(log))
    return float(np.median(ratios)) < 0 or abs(centre) > 10 * float(np.median(np.abs(log - centre))) + 1e-5


def _many_valued(base: Numbers) -> bool:
    return len(np.unique(base)) >= 30 and bool((base != np.round(base)).mean() > 0.5)


def _on_quarters(hours: Numbers) -> bool:
    quarters = hours * _QUARTERS_PER_HOUR
    return float(np.mean(np.abs(quarters - np.round(quarters)) < 2e-3)) > 0.5


def _factor(factor: float, *, told: bool = True) -> str:
    text = _short(factor)
    if not told:
        return text
    for known, meaning in _FACTORS.items():
        if abs(factor / known - 1) < _TIGHT or abs(factor * known - 1) < _TIGHT:
            text = _short(known) if abs(factor / known - 1) < _TIGHT else f"1/{_short(known)}"
            return f"{text} ({meaning})"
    return text


def _short(value: float) -> str:
    return f"{value:.4g}"
