"""A candidate beside the baseline: from the readings of their lifetimes to a standing for each metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from proofload.analysis.pairs import FEWEST, SIGN_FLIPS_FROM, estimate, noise_floor, sign_flips
from proofload.comparing.found import KINDS, SERVICE, SHARE, TAIL, Kind, Metric
from proofload.comparing.readings import KEEPS_UP, Reading
from proofload.comparing.settings import Comparing
from proofload.records import Interval
from proofload.verdict.comparison import Stakes, Standing, stand

VALUES: Mapping[str, Callable[[Reading], float | None]] = {
    SERVICE.key: lambda reading: reading.service_p50,
    TAIL.key: lambda reading: reading.latency.get("p99"),
    SHARE.key: lambda reading: (reading.ok + 0.5) / (reading.due + 1.0),
}
"""The share is never quite 0 or 1, so that it has a logarithm."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The lifetimes of two options that belong together, pair by pair, and how many there were to be."""

    baseline: tuple[Reading, ...]
    candidate: tuple[Reading, ...]
    planned: int
    dropped: int = 0

    @staticmethod
    def of(baseline: Sequence[Reading], candidate: Sequence[Reading], planned: int) -> Pairs:
        """Pairs of which both lifetimes are there, made on the same host."""
        others = {reading.pair: reading for reading in candidate}
        both = [(one, others[one.pair]) for one in baseline if one.pair in others]
        used = [(one, other) for one, other in both if one.host == other.host]
        return Pairs(tuple(a for a, _ in used), tuple(b for _, b in used), planned, len(both) - len(used))


def compared(pairs: Pairs, settings: Comparing, *, shares: int) -> tuple[Metric, ...]:
    """Each metric's standing. `shares`: among so many intervals the comparison's error rate is divided."""
    obstacle = _obstacle(pairs)
    return tuple(_metric(kind, pairs, settings, shares, obstacle) for kind in KINDS)


def _obstacle(pairs: Pairs) -> str:
    """Why these cannot be compared at all; empty where they can."""
    n = len(pairs.baseline)
    if n < max(FEWEST, math.ceil(pairs.planned / 2)):
        return f"{n} of {pairs.planned} pairs came about"
    asked = sorted({reading.requests for reading in (*pairs.baseline, *pairs.candidate)})
    if len(asked) > 1:
        return f"they were asked different things: {'; '.join(asked)}"
    shares = [median(reading.ok_share for reading in side) for side in (pairs.baseline, pairs.candidate)]
    if max(shares) < KEEPS_UP:
        rate = pairs.baseline[0].offered_rps
        return (
            f"neither keeps up with {rate:,.0f} requests/s ({shares[0]:.0%} and {shares[1]:.0%} answered well); "
            f"try --set rate_rps={_tidy(rate * max(min(shares), 0.02) / 2)}"
        )
    return ""


def _metric(kind: Kind, pairs: Pairs, settings: Comparing, shares: int, obstacle: str) -> Metric:
    value = VALUES[kind.key]
    seen = [(one.pair, value(one), value(other)) for one, other in zip(pairs.baseline, pairs.candidate, strict=True)]
    rows = tuple((pair, one, other) for pair, one, other in seen if one and other)
    why_not = _unsupported(kind, pairs)
    margin: float = getattr(settings.margins, kind.key)
    if obstacle or len(rows) < len(seen):
        because = obstacle or f"nothing was answered in {len(seen) - len(rows)} of {len(seen)} pairs"
        return Metric(kind, Standing.NOT_COMPARABLE, because, required=True, margin=margin, pairs=rows)
    sign = -1.0 if kind.higher_is_better else 1.0
    logs = [sign * math.log(other / one) for _, one, other in rows]
    floor = noise_floor([_logs(rows, 1), _logs(rows, 2)], len(rows))
    stakes = Stakes(margin, floor or 0.0, settings.alpha / shares, settings.alpha / 2)
    signs = sign_flips(logs) if len(logs) >= SIGN_FLIPS_FROM else None
    found = estimate(logs, alpha=stakes.alpha, trimmed=kind is not SHARE, least_error=_resolution(kind, pairs))
    outcome = stand(found, signs, stakes)
    ends = () if found is None else sorted((math.exp(sign * found.low), math.exp(sign * found.high)))
    return Metric(
        kind=kind,
        standing=outcome.standing,
        because=outcome.because,
        required=not why_not,
        why_not=why_not,
        factor=None if found is None else math.exp(sign * found.value),
        interval=Interval(ends[0], ends[1]) if ends else Interval(None, None),
        level=1.0 - stakes.alpha,
        margin=margin,
        floor=None if floor is None else math.exp(floor),
        signs=None if signs is None else signs.above,
        pairs=rows,
        pairs_needed=outcome.pairs_needed,
    )


def _logs(rows: Sequence[tuple[int, float, float]], place: int) -> list[float]:
    return [math.log(row[place]) for row in rows]


def _unsupported(kind: Kind, pairs: Pairs) -> str:
    """Why the outcome does not wait for this metric."""
    if kind is not TAIL or all(one.p99_supported for one in (*pairs.baseline, *pairs.candidate)):
        return ""
    fewest = min((one.answers for one in (*pairs.baseline, *pairs.candidate)), default=0)
    return f"a lifetime held {fewest:,} answers, and its p99 needs 2,000: longer ones, --set compare.lifetime_s=…"


def _resolution(kind: Kind, pairs: Pairs) -> float:
    """Shares that are all alike are known to one request, no better."""
    return 0.0 if kind is not SHARE else 1.0 / (1 + sum(one.due for one in pairs.baseline))


def _tidy(rate: float) -> str:
    return f"{float(f'{max(rate, 0.1):.2g}'):g}"
