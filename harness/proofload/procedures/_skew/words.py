"""What was found, as checks, sentences and plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.procedures._skew.parity import Feature, worst
from proofload.procedures._skew.terms import Settings
from proofload.records import Check, Interval, Status
from proofload.verdict.causes import CAUSES
from proofload.verdict.skew import Ruling, rule
from proofload.verdict.skew_checks import check, percent

_MOST_CHECKS = 20
GUARDS = 4
"""Checks beside the features that share the error rate of a fail."""


@dataclass(frozen=True, slots=True)
class Flips:
    """Decisions that come out otherwise in serving."""

    ruling: Ruling
    threshold: float
    raised: float
    """Below the threshold in training, at or above it in serving."""

    def plain(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold, "flipped": self.ruling.bad, "of": self.ruling.n, "share": self.ruling.share,
            "low": self.ruling.interval.low, "high": self.ruling.interval.high, "raised": self.raised,
        }  # fmt: skip

    def sentence(self) -> str:
        ruling = self.ruling
        if not ruling.bad:
            return f"No decision of {ruling.n:,} flips at a threshold of {self.threshold:g}."
        bounds = f"{percent(ruling.interval.low)} to {percent(ruling.interval.high)}"
        return (
            f"{percent(ruling.share)} ({bounds}) of {ruling.n:,} decisions flip at a threshold of {self.threshold:g}."
        )


def flips(
    wanted: NDArray[np.float64], got: NDArray[np.float64], unit: NDArray[np.int64], scenario: Settings
) -> Flips | None:
    """None where there is no threshold, or no pair of numbers on either side of it."""
    threshold = scenario.decision_threshold
    both = np.isfinite(wanted) & np.isfinite(got)
    if threshold is None or not both.any():
        return None
    before, after = wanted[both] >= threshold, got[both] >= threshold
    if before.all() or not before.any():  # it is no threshold of these predictions
        return None
    differs, of = before != after, unit[both]
    seen = np.bincount(of)
    present = seen > 0

    def events(rows: NDArray[np.bool_]) -> float:
        return float((np.bincount(of[rows], minlength=len(seen))[present] / seen[present]).sum())

    ruling = rule(events(differs), int(present.sum()), limit=1.0, alpha_fail=0.005, alpha_pass=0.005)
    return Flips(ruling, threshold, events(differs & after))


def feature_checks(features: Sequence[Feature], things: str) -> list[Check]:
    """One for each feature that is not well, the worst first, and one over all the others."""
    if not features:
        return []
    ill = [feature for feature in features if feature.ruling.status is not Status.PASS]
    ill.sort(key=lambda feature: (not feature.failed, bool(feature.diagnosis.follows), -float(feature.differs.mean())))
    unsettled = [feature for feature in ill if not feature.failed and not feature.differs.any()]
    if len(unsettled) == len(features):  # too few rows: said once
        return [_over_all(features, things)]
    checks = [_of_feature(feature, things) for feature in ill[:_MOST_CHECKS]]
    well = [feature for feature in features if feature.ruling.status is Status.PASS]
    return [*checks, *([_over_all(well, things)] if well else [])]


def nothing_compared(told: str, settle: str) -> Check:
    """Where neither a feature nor a prediction was compared: whatever else was well, that is no pass."""
    return Check("something to compare", Status.INCONCLUSIVE, 0, None, "", Interval(None, None), told, settle=settle)


def headline(features: Sequence[Feature], rows: str) -> list[str]:
    """What is wrong with the features, or that nothing is; empty where there are none."""
    if not features:
        return []
    leader = worst(features)
    failed = [feature for feature in features if feature.failed]
    if leader is None:
        open_ones = [feature for feature in features if feature.ruling.status is Status.INCONCLUSIVE]
        if open_ones:
            return [f"{len(open_ones)} of {len(features)} features are not settled by {rows}."]
        high = max((feature.ruling.interval.high or 0.0 for feature in features), default=1.0)
        seen = sum(bool(feature.differs.any()) for feature in features)
        how = "without a difference" if not seen else f"but for rare differences in {seen}"
        return [
            f"Serving computes all {len(features)} features as training does, {how}: {rows}, at most {percent(high)}."
        ]
    cause = CAUSES.get(leader.diagnosis.cause)
    what = f": {cause.meaning} ({cause.code})" if cause is not None else ""
    where = f" of the {leader.ruling.where}" if leader.ruling.where else ""
    first = (
        f"Serving computes {leader.name} differently from training in {percent(leader.ruling.share)}{where}{what}; "
        f"{leader.diagnosis.says}."
    )
    others = [feature.name for feature in failed if feature is not leader]
    if not others:
        return [first]
    shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    return [first, f"Besides, {len(others)} more {'differ' if len(others) > 1 else 'differs'}: {shown}."]


def _of_feature(feature: Feature, things: str) -> Check:
    ruling, counts = feature.ruling, feature.counts
    kinds = ", ".join(
        f"{counts[kind]:,} {word}"
        for kind, word in (("null", "missing in one"), ("type", "of another type"), ("value", "of another value"))
        if counts[kind]
    )
    part = f" among the {ruling.where}" if ruling.where else ""
    told = f"{_count(ruling.bad)} of {ruling.n:,} {things}{part} differ" + (f" ({kinds})" if kinds else "")
    if feature.diagnosis.says:
        told += f": {feature.diagnosis.says}"
    if feature.examples:
        name, wanted, got = feature.examples[0]
        told += f". {name}: {wanted} in training, {got} in serving"
    return check(f"parity of {feature.name}", ruling, told, cause=feature.diagnosis.cause, things=things)


def _count(events: float) -> str:
    return f"{events:,.0f}" if events >= 10 or events == round(events) else f"{events:.2g}"


def _over_all(features: Sequence[Feature], things: str) -> Check:
    """The feature with the widest bound stands for all of them."""
    widest = max(features, key=lambda feature: feature.ruling.interval.high or 1.0)
    told = (
        f"{len(features)} features over {widest.ruling.n:,} {things}; "
        f"the share that differs is at most {percent(widest.ruling.interval.high)} ({widest.name})"
    )
    return check("feature parity", widest.ruling, told, things=things)


def schema_check(lacking: Sequence[str], seen: Sequence[str], scenario: Settings, *, asked: bool) -> Check | None:
    """Features that serving lacks, and the schema's hash; None where nothing was to be compared."""
    if lacking:
        shown = ", ".join(lacking[:8]) + ("…" if len(lacking) > 8 else "")
        told = f"serving has no {shown}, which training has"
        return _fact("schema", Status.FAIL, len(lacking), told, cause="schema-mismatch")
    if scenario.schema_hash is None:
        return _fact("schema", Status.PASS, 0, "serving has every feature that training has") if asked else None
    others = [one for one in seen if one != scenario.schema_hash]
    if not seen:
        told = f"nothing says which schema it is: {scenario.schema_path} is nowhere"
        return _fact("schema", Status.INCONCLUSIVE, None, told, settle="answers that carry it")
    told = f"it says {', '.join(one[:16] for one in seen[:3])}; expected {scenario.schema_hash[:16]}"
    return _fact("schema", Status.FAIL if others else Status.PASS, len(others), told, cause="schema-mismatch")


def _fact(name: str, status: Status, observed: float | None, told: str, *, cause: str = "", settle: str = "") -> Check:
    failed = status is Status.FAIL
    return Check(
        name, status, observed, 0, "", Interval(None, None), told, settle=settle, cause=cause if failed else ""
    )
