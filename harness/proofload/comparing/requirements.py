"""What was required of an option, judged over all its lifetimes together: limits by counting, money by its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from proofload.analysis.percentiles import LEVEL
from proofload.analysis.rule import Ruling, holds
from proofload.comparing.found import Level, Price, Requirement
from proofload.comparing.readings import Reading
from proofload.comparing.settings import Comparing
from proofload.records import Interval, Status
from proofload.report import numbers
from proofload.scenarios import Scenario


def limits_kept(
    readings: Sequence[Reading], scenario: Scenario, levels: dict[str, Level | None]
) -> Iterator[Requirement]:
    """The scenario's SLO. The lifetimes' own differences widen what their counts may mean."""
    for name, limit_ms in scenario.slo.limits().items():
        over, answers = [one.over.get(name, 0) for one in readings], [one.answers for one in readings]
        ruling = _held(over, answers, LEVEL[name].q, scenario)
        shown = name.replace("_", ".")
        yield Requirement(
            name=f"{shown} ≤ {limit_ms:g} ms",
            status=ruling.status,
            limit=f"{limit_ms:g} ms",
            observed=_level(levels.get(name)),
            evidence=f"{sum(over):,} of {sum(answers):,} answers took longer{_needs(ruling)}",
        )
    bad, due = [one.due - one.ok for one in readings], [one.due for one in readings]
    ruling = _held(bad, due, scenario.slo.ok_share, scenario)
    share = numbers.plain(100 * scenario.slo.ok_share)
    yield Requirement(
        name=f"≥ {share} % ok",
        status=ruling.status,
        limit=f"{share} %",
        observed=numbers.MISSING if ruling.share is None else numbers.share(1.0 - ruling.share),
        evidence=f"{sum(bad):,} of {sum(due):,} requests did not end ok{_needs(ruling)}",
    )


def budgets_kept(price: Price | None, settings: Comparing, peak_rps: float | None) -> Iterator[Requirement]:
    """What it may cost."""
    currency = "" if price is None else price.cost.currency
    unconfirmed = "no run that passed confirmed a rate"
    if settings.budget_per_million is not None:
        bounds = Interval(None, None) if price is None or not price.at_capacity else price.cost.interval
        yield _within(f"≤ {numbers.money(settings.budget_per_million, currency)} per million", bounds,
                      settings.budget_per_million, price, f"{unconfirmed} that a price could be of")  # fmt: skip
    if settings.budget_per_month is not None:
        bounds = Interval(None, None) if price is None else price.per_month
        why = unconfirmed if peak_rps else "no peak is given: --set cost.peak_rps=…"
        yield _within(f"≤ {numbers.money(settings.budget_per_month, currency)} a month", bounds,
                      settings.budget_per_month, price, why)  # fmt: skip


def _within(name: str, bounds: Interval, limit: float, price: Price | None, why: str) -> Requirement:
    currency = "" if price is None else price.cost.currency
    status = Status.INCONCLUSIVE
    if bounds.high is not None and bounds.high <= limit:
        status = Status.PASS
    elif bounds.low is not None and bounds.low > limit:
        status = Status.FAIL
    unknown = bounds.low is None and bounds.high is None
    if unknown:
        evidence = why if price is None or price.cost.priced else f"unpriced: {price.cost.detail}"
    else:
        evidence = "of what prices and capacity allow"
    return Requirement(name, status, numbers.money(limit, currency), numbers.money_range(bounds, currency), evidence)


def _held(over: Sequence[int], of: Sequence[int], q: float, scenario: Scenario) -> Ruling:
    return holds(
        sum(over),
        sum(of),
        q,
        effect=dispersion(over, of),
        confidence=1.0 - scenario.alpha_pass,
        alpha_fail=scenario.alpha_fail,
    )


def dispersion(counts: Sequence[int], of: Sequence[int]) -> float:
    """By how much counts differ between lifetimes more than chance makes them, at least 1."""
    total = sum(of)
    share = sum(counts) / total if total else 0.0
    if len(counts) < 2 or not 0.0 < share < 1.0:
        return 1.0
    expected = share * np.asarray(of, dtype=np.float64)
    chance = expected * (1.0 - share)
    used = chance > 0.0
    excess = (np.asarray(counts) - expected)[used] ** 2 / chance[used]
    return max(1.0, float(excess.sum()) / (len(counts) - 1))


def _needs(ruling: Ruling) -> str:
    return "" if ruling.needs is None else f"; about {ruling.needs:,} would settle it"


def _level(level: Level | None) -> str:
    return numbers.MISSING if level is None else f"{numbers.significant(level.value)} ms"
