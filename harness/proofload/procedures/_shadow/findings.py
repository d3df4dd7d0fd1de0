"""What a shadow run concludes: the copies against their originals, and the users with copies against those without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from proofload.analysis.finite import finite
from proofload.analysis.rule import Ruling as ShareRuling
from proofload.analysis.summary import TIMED, summarise, with_outcome
from proofload.clock import NS_PER_MS
from proofload.procedures._measured_phase import MeasuredPhase
from proofload.records import Agreement, Check, Interval, Outcome, Phase, PhaseSummary, Samples, Status
from proofload.report import numbers
from proofload.report.numbers import short
from proofload.verdict.ab_test import Look
from proofload.verdict.shadow import Compared, Side, Tolerance, agreement, compared

CHECKS = 8
"""The error rate of a fail is shared by so many: those below, and [slo]."""
_FAILED = (Outcome.ERROR, Outcome.TIMEOUT, Outcome.SHED)
Parts = Sequence[tuple[Phase, Samples]]


@dataclass(frozen=True, slots=True)
class Blocks:
    """All requests, with the number of the block of time each was due in."""

    plain: Samples
    plain_block: Any
    mirrored: Samples
    mirrored_block: Any
    starts: tuple[tuple[str, int, int], ...]
    """(kind, number of the block, its start in ns)"""

    @staticmethod
    def of(plain: Parts, mirrored: Parts) -> Blocks:
        order = sorted(phase.start_ns for phase, _ in [*plain, *mirrored])
        number = {start: place for place, start in enumerate(order)}

        def together(parts: Parts) -> tuple[Samples, Any]:
            table = np.concatenate([samples.table for _, samples in parts])
            blocks = np.repeat([number[phase.start_ns] for phase, _ in parts], [len(samples) for _, samples in parts])
            return Samples(table), blocks.astype(np.int64)

        starts = [("plain", number[phase.start_ns], phase.start_ns) for phase, _ in plain]
        starts += [("mirrored", number[phase.start_ns], phase.start_ns) for phase, _ in mirrored]
        return Blocks(*together(plain), *together(mirrored), tuple(sorted(starts, key=lambda one: one[1])))

    def users(self, kind: str) -> Side:
        samples, block = (self.plain, self.plain_block) if kind == "plain" else (self.mirrored, self.mirrored_block)
        own = samples.table["mirror"] == 0
        return side(samples.where(own), block[own])

    def copies(self) -> Side:
        copy = self.mirrored.table["mirror"] == 1
        return side(self.mirrored.where(copy), self._halves()[copy])

    def _halves(self) -> Any:
        """Half blocks: both copies and originals are in each, so more of them can be had."""
        start = {number: start_ns for _, number, start_ns in self.starts}
        begun = np.array([start.get(number, 0) for number in range(max(start) + 1)], np.int64)
        since = self.mirrored.table["intended_ns"] - begun[self.mirrored_block]
        longest = max(int(since.max(initial=1)), 1)
        return 2 * self.mirrored_block + (2 * since > longest)

    def originals(self) -> Side:
        """Those of the mirrored requests alone."""
        table = self.mirrored.table
        key = table["phase"].astype(np.int64) << 40 | table["seq"]
        own = (table["mirror"] == 0) & np.isin(key, key[table["mirror"] == 1])
        return side(self.mirrored.where(own), self._halves()[own])


@dataclass(frozen=True, slots=True)
class Found:
    pairs: ShareRuling
    compared_pairs: int
    different: int
    distinct: int
    """Inputs among the pairs."""
    disagreement: float
    shadow: Compared
    impact: Compared
    per_block: tuple[Mapping[str, Any], ...]


def side(samples: Samples, block: Any) -> Side:
    timed = with_outcome(samples, *TIMED) & (samples.table["done_ns"] > 0)
    sent = samples.outcome != Outcome.UNSENT
    return Side(
        latency_ms=samples.latency_ns[timed] / NS_PER_MS,
        latency_block=block[timed],
        failed=with_outcome(samples, *_FAILED)[sent],
        wrong=with_outcome(samples, Outcome.WRONG)[sent],
        block=block[sent],
    )


def found_by(
    blocks: Blocks, tolerance: Tolerance, *, disagreement: float, alpha_fail: float, alpha_pass: float
) -> Found:
    copies = blocks.mirrored.table[blocks.mirrored.table["mirror"] == 1]
    told = copies[copies["agrees"] != Agreement.NOT_COMPARED]
    each = alpha_fail / CHECKS
    different = told["agrees"] == Agreement.DIFFERENT
    shadow = compared(blocks.originals(), blocks.copies(), tolerance, alpha_fail=each, alpha_pass=alpha_pass)
    impact = compared(
        blocks.users("plain"), blocks.users("mirrored"), tolerance, alpha_fail=each, alpha_pass=alpha_pass
    )
    return Found(
        pairs=agreement(different, disagreement, alpha_fail=each, alpha_pass=alpha_pass),
        compared_pairs=len(told),
        different=int(np.count_nonzero(different)),
        distinct=len(np.unique(told["payload"])),
        disagreement=disagreement,
        shadow=shadow,
        impact=impact,
        per_block=tuple(_per_block(blocks)),
    )


def checks_of(found: Found) -> tuple[Check, ...]:
    return (
        _agreement(found),
        _difference("shadow-failures", found.shadow.failures, "share", "canary-errors", "of its requests failed"),
        _difference("shadow-latency", found.shadow.median, "ms", "canary-slower", "its median latency"),
        _difference("shadow-tail", found.shadow.tail, "share", "canary-slow-tail",
                    f"of its answers took longer than {short(found.shadow.far_ms)} ms"),
        _difference("user-failures", found.impact.failures, "share", "mirroring-harms-users",
                    "of the users' requests failed while copies were sent"),
        _difference("user-latency", found.impact.median, "ms", "mirroring-harms-users",
                    "the users' median latency while copies were sent"),
        _difference("user-tail", found.impact.tail, "share", "mirroring-harms-users",
                    f"of the users' answers took longer than {short(found.impact.far_ms)} ms while copies were sent"),
    )  # fmt: skip


def headline_of(found: Found, checks: Sequence[Check]) -> tuple[str, ...]:
    failed = [check for check in checks if check.status is Status.FAIL]
    share, most = found.pairs.share, found.pairs.interval.high
    if share is None:
        first = "No answer of the shadow could be compared with the primary's."
    else:
        first = (
            f"Of {found.compared_pairs:,} answers the shadow gave, {found.different:,} differ from the primary's: at "
            f"most {numbers.share(most)} of all (tolerated: {numbers.share(found.disagreement)})."
        )
    impact = found.impact.median.ruling
    noticed = (
        f"While copies were sent the users' median latency changed by {_signed(impact.effect)} ms "
        f"({_range(impact.low, impact.high)}; tolerated: {numbers.significant(impact.margin)})."
    )
    causes = dict.fromkeys(check.cause for check in failed if check.cause)
    return (first, noticed, *((f"It fails: {', '.join(causes)}.",) if causes else ()))


def details_of(found: Found) -> dict[str, Any]:
    return {
        "pairs": found.compared_pairs,
        "different": found.different,
        "distinct_inputs": found.distinct,
        "disagreement": {"share": found.pairs.share, "low": found.pairs.interval.low,
                         "high": found.pairs.interval.high, "tolerated": found.disagreement,
                         "pairs_needed": found.pairs.needs},
        "shadow": _told(found.shadow),
        "impact": _told(found.impact),
        "blocks": list(found.per_block),
    }  # fmt: skip


def summaries_of(judged: Mapping[str, MeasuredPhase], mirrored: Parts, timeout_s: float) -> tuple[PhaseSummary, ...]:
    """The users' requests without and with copies, and the copies themselves."""
    tables = [samples.table[samples.table["mirror"] == 1] for _, samples in mirrored]
    copies = Samples(np.concatenate(tables))
    first = mirrored[0][0]
    whole = Phase(
        index=first.index,
        name="copies",
        arrival=first.arrival,
        rate_rps=first.rate_rps,
        duration_s=sum(phase.duration_s for phase, _ in mirrored),
        planned=len(copies),
        start_ns=first.start_ns,
    )
    return (*(one.summary for one in judged.values()), summarise(whole, copies, timeout_s=timeout_s))


def _per_block(blocks: Blocks) -> list[Mapping[str, Any]]:
    users = {"plain": blocks.users("plain"), "mirrored": blocks.users("mirrored")}
    copies = blocks.copies()
    told: list[Mapping[str, Any]] = []
    first_ns = blocks.starts[0][2]
    for kind, number, start_ns in blocks.starts:
        own = users[kind]
        row: dict[str, Any] = {"kind": kind, "start_s": (start_ns - first_ns) / 1e9}
        row |= {f"users_{name}": value for name, value in _middle(own, number).items()}
        if kind == "mirrored":
            row |= {f"copies_{name}": value for name, value in _middle(copies, 2 * number, 2 * number + 1).items()}
        told.append(row)
    return told


def _middle(one: Side, *blocks: int) -> Mapping[str, float | None]:
    latency = one.latency_ms[np.isin(one.latency_block, blocks)]
    if not len(latency):
        return {"p50_ms": None, "p95_ms": None}
    middle, high = np.quantile(latency, [0.5, 0.95])
    return {"p50_ms": float(middle), "p95_ms": float(high)}


def _agreement(found: Found) -> Check:
    ruling = found.pairs
    if ruling.share is None:
        needs = f"at least {ruling.needs or 0:,} pairs"
        why = "no pair of answers could be compared"
        nothing = Interval(None, None)
        return Check("agreement", Status.INCONCLUSIVE, None, found.disagreement, "share", nothing, why, settle=needs)
    evidence = (
        f"{found.different:,} of {found.compared_pairs:,} pairs differ, over {found.distinct:,} different inputs; "
        f"the true share lies between {numbers.share(ruling.interval.low)} and {numbers.share(ruling.interval.high)}"
    )
    settle = ""
    if ruling.status is Status.INCONCLUSIVE:
        settle = "a longer run" if ruling.needs is None else f"about {ruling.needs:,} pairs in all"
    return Check("agreement", ruling.status, ruling.share, found.disagreement, "share", ruling.interval, evidence,
                 settle=settle, cause="wrong-predictions" if ruling.status is Status.FAIL else "")  # fmt: skip


def _difference(name: str, look: Look, unit: str, cause: str, what: str) -> Check:
    ruling, usual = look.ruling, look.difference.baseline
    if unit == "ms":
        told = f"{what} differs by {_signed(ruling.effect)} ms from {numbers.significant(usual)} ms otherwise"
    else:
        more = numbers.significant(abs(ruling.effect) * 100)
        told = f"{more} percentage points {'fewer' if ruling.effect < 0 else 'more'} {what}"
    low, high = finite(ruling.low), finite(ruling.high)
    return Check(
        name=name,
        status=ruling.status,
        observed=ruling.effect if low is not None else None,
        limit=ruling.margin,
        unit=unit,
        interval=Interval(low, high),
        evidence=f"{told}, over {look.difference.freedom + 1} blocks of time",
        settle="more, or longer, blocks" if ruling.status is Status.INCONCLUSIVE else "",
        cause=cause if ruling.status is Status.FAIL else "",
    )


def _told(one: Compared) -> Mapping[str, Any]:
    looks = {"median_ms": one.median, "tail_share": one.tail, "failed_share": one.failures}
    told: dict[str, Any] = {
        name: {
            "usual": finite(look.difference.baseline),
            "effect": look.ruling.effect,
            "low": finite(look.ruling.low),
            "high": finite(look.ruling.high),
            "margin": look.ruling.margin,
            "status": look.ruling.status.value,
        }
        for name, look in looks.items()
    }
    return {**told, "far_ms": finite(one.far_ms)}


def _range(low: float, high: float) -> str:
    return numbers.interval(Interval(finite(low), finite(high)))


def _signed(value: float) -> str:
    text = numbers.significant(value)
    return f"+{text}" if value > 0 else text
