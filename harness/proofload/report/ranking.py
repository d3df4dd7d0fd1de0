"""Several runs beside each other, in sentences: who is ahead, who cannot be told apart, who is not ranked.

Two targets are ordered only when their intervals do not overlap. One run of each is one server lifetime
of each, and that is said, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proofload.records import Capacity, Interval, Quantile, Result, Status
from proofload.report import numbers
from proofload.report.sentences import called, joined, limits_phrase, measured_phase


@dataclass(frozen=True, slots=True)
class Entry:
    """One target's figure in a ranking."""

    label: str
    value: float
    interval: Interval
    text: str
    """The value with its unit and interval."""

    def tied_with(self, other: Entry) -> bool:
        """Do the intervals overlap? An unknown end overlaps everything."""
        low, high = self.interval.low, self.interval.high
        other_low, other_high = other.interval.low, other.interval.high
        if low is None or high is None or other_low is None or other_high is None:
            return True
        return low <= other_high and other_low <= high


def compare(results: Sequence[Result], labels: Sequence[str] | None = None) -> tuple[str, ...]:
    """Ranking sentences over several runs; none for fewer than two. `labels` name the results in order."""
    if len(results) < 2:
        return ()
    names = list(labels) if labels is not None else [called(result) for result in results]
    pairs = list(zip(names, results, strict=True))
    if len({result.procedure for result in results}) > 1:
        return (_verdicts(pairs), *_within_procedures(pairs))
    ranked = [(name, result) for name, result in pairs if _rankable(result)]
    sentences: list[str] = []
    mixed = _not_comparable(pairs)
    if mixed:
        sentences.append(mixed)
    elif all(result.procedure == "capacity" for result in results):
        sentences += _by_rate(ranked, results)
    elif all(result.procedure == "load" for result in results):
        sentences += _by_latency(ranked, results)
    if not mixed:
        sentences += _by_cost(ranked)
    caveats = _left_out(pairs)
    if len(ranked) > 1 and not mixed:
        caveats.append(
            "One run is one server lifetime: an order is certain only when it repeats over interleaved lifetimes."
        )
    return (*sentences, " ".join(caveats)) if caveats else tuple(sentences)


def _verdicts(pairs: Sequence[tuple[str, Result]]) -> str:
    """How runs of different experiments ended: they are not ranked, they are counted."""
    said = []
    for status, word in (
        (Status.FAIL, "failed"),
        (Status.INCONCLUSIVE, "inconclusive"),
        (Status.INVALID, "invalid"),
    ):
        names = [name for name, result in pairs if result.status is status]
        if names:
            said.append(f"{word}: {joined(names)}")
    passed = sum(result.status is Status.PASS for _, result in pairs)
    if not said:
        return f"All {len(pairs)} runs passed."
    return f"{passed} of {len(pairs)} runs passed; {'; '.join(said)}."


def _within_procedures(pairs: Sequence[tuple[str, Result]]) -> tuple[str, ...]:
    sentences: list[str] = []
    for procedure in dict.fromkeys(result.procedure for _, result in pairs):
        own = [(name, result) for name, result in pairs if result.procedure == procedure]
        if procedure in {"capacity", "load"}:
            sentences += compare([result for _, result in own], [name for name, _ in own])
    return tuple(sentences)


def _not_comparable(pairs: Sequence[tuple[str, Result]]) -> str:
    limits = {limits_phrase(result.checks) for _, result in pairs} - {""}  # an unconfirmed search has judged none
    if len(limits) > 1:
        told = "; ".join(sorted(limits))
        return f"Not ranked: the runs were held to different limits ({told})."
    return ""


def _by_rate(ranked: Sequence[tuple[str, Result]], results: Sequence[Result]) -> list[str]:
    entries = [
        Entry(
            name,
            found.rate_rps,
            found.interval if not found.censored else Interval(found.interval.low, None),
            _bounded(found),
        )
        for name, result in ranked
        if (found := result.capacity) is not None and found.rate_rps is not None
    ]
    slo = next((phrase for result in results if (phrase := limits_phrase(result.checks))), "")
    within = f" within {slo}" if slo else ""
    if not entries:
        return [f"None of the {len(results)} targets has a confirmed rate{within}."]
    if len(entries) == 1:
        return [f"Only {entries[0].label} has a confirmed rate{within}: {entries[0].text} requests/s."]
    return _ranking(entries, what=f"the most{within}", unit="requests/s", verb="holds", highest=True)


def _by_latency(ranked: Sequence[tuple[str, Result]], results: Sequence[Result]) -> list[str]:
    slo = next((phrase for result in results if (phrase := limits_phrase(result.checks))), "")
    holding = joined([name for name, _ in ranked])
    if not ranked:
        return [f"None of the {len(results)} targets is shown to hold its rate{' within ' + slo if slo else ''}."]
    if not slo:
        sentences = []
    elif len(ranked) == len(results):
        sentences = [f"All {len(results)} targets hold their rate within {slo}."]
    else:
        sentences = [f"{len(ranked)} of {len(results)} targets are shown to hold their rate within {slo}: {holding}."]
    entries = []
    for name, result in ranked:
        phase = measured_phase(result)
        p99 = phase.latency.quantiles.get("p99") if phase else None
        if p99 is not None and p99.value is not None and not p99.censored:
            entries.append(Entry(name, p99.value, p99.interval, _quantile(p99)))
    if len(entries) > 1:
        sentences += _ranking(entries, what="the lowest p99", unit="ms", verb="has", highest=False)
    return sentences


def _by_cost(ranked: Sequence[tuple[str, Result]]) -> list[str]:
    entries = []
    currencies = set()
    for name, result in ranked:
        cost = result.cost
        if cost is None or not cost.priced or cost.per_million is None:
            continue
        currencies.add(cost.currency)
        bounds = numbers.money_interval(cost.interval, cost.currency)
        amount = numbers.money(cost.per_million, cost.currency)
        text = f"{amount} ({bounds})" if bounds != numbers.MISSING else amount
        entries.append(Entry(name, cost.per_million, cost.interval, text))
    if len(entries) < 2 or len(currencies) != 1:
        return []
    return _ranking(entries, what="the least per million correct predictions", unit="", verb="costs", highest=False)


def _ranking(entries: Sequence[Entry], *, what: str, unit: str, verb: str, highest: bool) -> list[str]:
    order = sorted(entries, key=lambda entry: entry.value, reverse=highest)
    best = order[0]
    tied = [entry for entry in order[1:] if entry.tied_with(best)]
    behind = [entry for entry in order[1:] if not entry.tied_with(best)]
    tail = f" {unit}" if unit else ""
    if tied:
        first = [best, *tied]
        plural = {"holds": "hold", "has": "have", "costs": "cost"}[verb]
        names, values = joined([entry.label for entry in first]), joined([entry.text for entry in first])
        said = f"{names} {plural} {what}: {values}{tail}. Their intervals overlap, so this does not order them."
    else:
        factor = ""
        if behind and highest and behind[0].value > 0:
            factor = f", {numbers.significant(best.value / behind[0].value)} × {behind[0].label}'s"
        said = f"{best.label} {verb} {what}: {best.text}{tail}{factor}."
    if behind:
        said += f" Behind: {_chain(behind, tail)}."
    return [said]


def _chain(entries: Sequence[Entry], tail: str) -> str:
    parts = []
    for index, entry in enumerate(entries):
        tie = index > 0 and entry.tied_with(entries[index - 1])
        parts.append(f"{entry.label} {entry.text}{tail}{', not told apart from the one before' if tie else ''}")
    return "; ".join(parts)


def _left_out(pairs: Sequence[tuple[str, Result]]) -> list[str]:
    said = {
        Status.PASS: "without a confirmed rate",
        Status.FAIL: "failed",
        Status.INCONCLUSIVE: "inconclusive",
        Status.INVALID: "invalid measurement",
    }
    out = [f"{name} ({said[result.status]})" for name, result in pairs if not _rankable(result)]
    return [f"Not ranked: {joined(out)}."] if out else []


def _rankable(result: Result) -> bool:
    """A confirmed capacity stands even when another check failed; any other procedure must have passed."""
    if result.procedure == "capacity" and result.capacity is not None:
        return result.status in {Status.PASS, Status.FAIL} and result.capacity.confirmed
    return result.status is Status.PASS


def _quantile(found: Quantile) -> str:
    return f"{numbers.quantile(found)}{numbers.bracketed(found.interval)}"


def _bounded(found: Capacity) -> str:
    text = f"{numbers.significant(found.rate_rps)}{numbers.bracketed(found.interval)}"
    return f"at least {text}" if found.censored else text
