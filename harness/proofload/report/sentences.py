"""What a run says, in sentences made from its data: the first thing a reader sees.

`headline` answers the question one run asked; `compare` ranks several. A procedure's sentences are one
function in BY_PROCEDURE; sentences that an analysis has put into `Result.headline` come first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from proofload.records import Capacity, Check, PhaseSummary, Quantile, Result, Status
from proofload.report import numbers
from proofload.report.reduce.load_curve import share_of
from proofload.report.text import printable
from proofload.verdict.causes import CAUSES

_PERCENTILE = re.compile(r"^(?:slo\.)?p(\d+(?:_\d+)?)(?:_ms)?$")


def headline(result: Result) -> tuple[str, ...]:
    """Sentences for one run, the most important first. Invalid and inconclusive say so before anything else."""
    if result.headline:
        told = tuple(printable(sentence, 400) for sentence in result.headline)
        warning = _warning(result) if result.status is Status.INVALID else ()
        return told if told[: len(warning)] == warning else (*warning, *told)
    answer = BY_PROCEDURE.get(result.procedure, _other)(result)
    return (*_warning(result), *answer, *_unchecked(result))


def answers_checked(result: Result) -> bool:
    """Whether any payload said what answer is right: without that, "correct" may not be said."""
    return bool(result.target.get("answers_checked", True))


def _unchecked(result: Result) -> tuple[str, ...]:
    if answers_checked(result):
        return ()
    return ("Correctness was not checked: no payload says what is expected.",)


def called(result: Result) -> str:
    """What the run's target is called: its name, and its device where the name does not tell it."""
    name = printable(result.target.get("name", "the target"), 40)
    device = printable(result.target.get("device") or "", 20)
    return f"{name}-{device}" if device and device not in name else name


def limits_phrase(checks: Sequence[Check]) -> str:
    """The SLO in short: "p99 ≤ 50 ms and ≥ 99.9 % ok"; empty when none of the checks is an SLO's.

    That no answer may be wrong goes without saying.
    """
    said = [check for check in checks if check.name.removeprefix("slo.") != "wrong_share" or check.limit]
    return joined([phrase for check in said if (phrase := limit_phrase(check))])


def limit_phrase(check: Check) -> str:
    """ "p99 ≤ 50 ms", "≥ 99.9 % ok", "no wrong answers", or empty for a check that is not one of the SLO's."""
    percentile = percentile_of(check)
    if check.limit is None:
        return ""
    if percentile:
        return f"{percentile} ≤ {numbers.plain(check.limit)} ms"
    match check.name.removeprefix("slo."):
        case "ok_share":
            return f"≥ {numbers.plain(check.limit * 100)} % ok"
        case "wrong_share":
            return f"≤ {numbers.plain(check.limit * 100)} % wrong" if check.limit else "no wrong answers"
    return ""


def check_phrase(check: Check) -> str:
    """What a check is called: its limit in short, or its name and limit."""
    name = printable(check.name.removeprefix("slo."), 80).replace("_", " ").replace("-", " ")
    return limit_phrase(check) or (name if check.limit is None else f"{name}: {limit_text(check)}")


def percentile_of(check: Check) -> str:
    """ "p99.9" for a check named "slo.p99_9_ms" or "p99_9_ms", else empty."""
    found = _PERCENTILE.match(check.name)
    return f"p{found[1].replace('_', '.')}" if found else ""


def measured_phase(result: Result) -> PhaseSummary | None:
    """The phase that the verdict is about: the last measured one."""
    return next((phase for phase in reversed(result.phases) if phase.measured), None)


def telling_phases(result: Result) -> tuple[PhaseSummary, ...]:
    """The measured phases; of a capacity search only the last confirmation, because each replaces the one before."""
    measured = tuple(phase for phase in result.phases if phase.measured)
    return measured[-1:] if result.capacity is not None else measured


def held_text(result: Result) -> str:
    """The rate that a capacity run shows to be held: "1,240", "≥ 1,240" or "none confirmed"."""
    found = result.capacity
    if found is None or found.rate_rps is None or not found.confirmed:
        return "none confirmed"
    return f"{'≥ ' if found.censored else ''}{numbers.significant(found.rate_rps)}"


# One run


def _warning(result: Result) -> tuple[str, ...]:
    who = called(result)
    if result.status is Status.INVALID:
        broken = [item for item in result.validity if not item.ok]
        why = "; ".join(printable(item.detail, 240).rstrip(".") for item in broken) or "a validity item failed"
        remedy = next((printable(item.remedy, 240).rstrip(".") for item in broken if item.remedy), "")
        said = f"Invalid measurement: nothing here may be held for or against {who}, because {why}."
        return (f"{said} Next: {remedy}." if remedy else said,)
    if result.status is Status.INCONCLUSIVE:
        open_checks = [check for check in result.checks if check.status is Status.INCONCLUSIVE]
        names = joined([phrase for check in open_checks if (phrase := limit_phrase(check))])
        if not names and result.capacity is not None:
            said = f"Inconclusive: this run confirms no rate for {who}."
        else:
            said = f"Inconclusive: this run cannot tell whether {who} keeps {names or 'its limits'}."
        settling = [check for check in open_checks if check.settle]
        parts = [printable(check.settle, 240).rstrip(".") for check in settling]
        if len(parts) > 1:
            parts = [f"for {check_phrase(check)}, {part}" for check, part in zip(settling, parts, strict=True)]
        settle = "; ".join(parts)
        return (f"{said} What would settle it: {settle}." if settle else said,)
    return ()


def _capacity(result: Result) -> tuple[str, ...]:
    who, found, slo = called(result), result.capacity, limits_phrase(result.checks)
    within = f" within {slo}" if slo else " within its SLO"
    if found is None:
        return _other(result)
    if found.rate_rps is None:
        return (_nothing_held(found, who, within), *_broken(result))
    rate = f"{numbers.significant(found.rate_rps)} requests/s{numbers.bracketed(found.interval)}"
    if result.status is Status.INVALID:
        bound = f"{_UNRELIABLE}: {who} at {rate}{within}"
    elif not found.confirmed or result.status is Status.INCONCLUSIVE:
        bound = f"{who} got through the search at {rate}{within}, but no confirmation run passed{_limited(found)}"
    elif found.censored == "client":
        bound = f"{who} holds at least {rate}{within}{_limited(found)}"
    elif found.censored:
        bound = f"{who} holds at least {rate}{within}, the highest rate that was tried"
    else:  # confirmed, though another check may have failed
        bound = f"{who} holds {rate}{within}"
    first, more = _with_cost(bound, result)
    sentences = [first, *more, *_at_that_rate(result), *_broken(result)]
    if found.knee_rps is not None:
        sentences.append(
            f"Latency climbs steeply from about {numbers.significant(found.knee_rps)} requests/s (the knee)."
        )
    return tuple(sentences)


def _nothing_held(found: Capacity, who: str, within: str) -> str:
    """That every rate broke the SLO is said only when every step showed it."""
    tried = [float(step["rate_rps"]) for step in found.steps]
    lowest = numbers.significant(min(tried)) if tried else ""
    if tried and all(step.get("status") == Status.FAIL for step in found.steps):
        return (
            f"{who} holds none of the {len(tried)} rates that were tried{within}: the lowest was {lowest} requests/s."
        )
    said = f"No rate is confirmed for {who}{within}"
    return f"{said}: {len(tried)} steps, down to {lowest} requests/s." if tried else f"{said}."


def _limited(found: Capacity) -> str:
    return ": beyond that this client, not the target, was the limit" if found.censored == "client" else ""


def _load(result: Result) -> tuple[str, ...]:
    who, phase, slo = called(result), measured_phase(result), limits_phrase(result.checks)
    if phase is None:
        return (f"{who} was not measured: no phase of this run counts.",)
    rate = f"{numbers.significant(phase.offered_rps)} requests/s"
    within = f" within {slo}" if slo else ""
    if result.status is Status.PASS:
        said = f"{who} holds {rate}{within}" if slo else f"{who} was offered {rate}; no limit was set"
    elif result.status is Status.FAIL:
        said = f"{who} does not hold {rate}{within}"
    else:
        said = f"{who} was offered {rate}" + (f"; the limits were {slo}" if slo else "")
    if result.status is not Status.PASS:  # a rate that is not held has no cost
        return (f"{said}.", *_broken(result), *_at_that_rate(result))
    first, more = _with_cost(said, result)
    return (first, *_at_that_rate(result), *more)


def _other(result: Result) -> tuple[str, ...]:
    """For a procedure without sentences of its own: the verdict, and what broke."""
    who = called(result)
    count = len(result.checks)
    if measured_phase(result) is None and not result.checks:
        return (f"{who} was not measured: the run ended before a phase that counts.",)
    said = {
        Status.PASS: f"{who} passes all {count} checks of {printable(result.scenario)}.",
        Status.FAIL: f"{who} fails {printable(result.scenario)}.",
        Status.INCONCLUSIVE: f"{who} ran {printable(result.scenario)}.",
        Status.INVALID: f"{who} ran {printable(result.scenario)}.",
    }[result.status]
    return (said, *_broken(result), *_at_that_rate(result))


BY_PROCEDURE: Mapping[str, Callable[[Result], tuple[str, ...]]] = {"load": _load, "capacity": _capacity}
"""The answer of each procedure. The warning of an invalid or inconclusive run is put before it."""


_UNRELIABLE = "As measured, and not to be relied on"


def _broken(result: Result) -> tuple[str, ...]:
    """One sentence per failed check, with its evidence. An invalid run fails nobody."""
    begin = _UNRELIABLE if result.status is Status.INVALID else "Failed"
    return tuple(f"{begin}: {_failure(check)}." for check in result.checks if check.status is Status.FAIL)


def _failure(check: Check) -> str:
    percentile = percentile_of(check)
    evidence = printable(check.evidence, 240).rstrip(".")
    name = percentile or printable(check.name.removeprefix("slo."), 80).replace("_", " ").replace("-", " ")
    if check.observed is None or check.limit is None:
        return f"{name}{': ' + evidence if evidence else ''}"
    because = f": {CAUSES[check.cause].meaning}" if check.cause in CAUSES else ""
    return f"{name} is {observed_phrase(check)}, the limit is {limit_text(check)}{because}"


def observed_phrase(check: Check) -> str:
    """Value, unit and interval: "81.0 ms (77.2–86.4)"."""
    if check.unit in {"share", "ratio"} or check.name.endswith("_share"):
        bounds = numbers.share_interval(check.interval)
        return numbers.share(check.observed) + (f" ({bounds})" if bounds != numbers.MISSING else "")
    value = observed_text(check)
    if value == numbers.MISSING:
        return value
    unit = f" {check.unit}" if check.unit else ""
    return f"{value}{unit}{numbers.bracketed(check.interval, beside=value, limit=check.limit)}"


def observed_text(check: Check) -> str:
    """The value without its unit; "≥ 5,000" when its interval says that it is only a lower bound."""
    value, low, high = check.observed, check.interval.low, check.interval.high
    text = numbers.against(value, check.limit)
    return f"≥ {text}" if value is not None and low is not None and high is None and low >= value else text


def limit_text(check: Check) -> str:
    if check.limit is None:
        return numbers.MISSING
    if check.unit in {"share", "ratio"} or check.name.endswith("_share"):
        return f"{numbers.plain(check.limit * 100)} %"
    return f"{numbers.plain(check.limit)} {check.unit}".rstrip()


def _at_that_rate(result: Result) -> tuple[str, ...]:
    """Percentiles never without n, their interval and the shares of shed and error."""
    phase = measured_phase(result)
    if phase is None or not phase.latency.n:
        return ()
    p50, p99 = phase.latency.quantiles.get("p50"), phase.latency.quantiles.get("p99")
    shares = f"shed {numbers.share(share_of(phase, 'shed'))}, errors {numbers.share(share_of(phase, 'error'))}"
    timeouts = share_of(phase, "timeout")
    if timeouts:
        shares += f", timeouts {numbers.share(timeouts)}"
    wrong = share_of(phase, "wrong")
    if wrong:
        shares += f", wrong answers {numbers.share(wrong)}"
    rate = numbers.significant(phase.offered_rps)
    n = numbers.count(phase.latency.n)
    return (f"At {rate} requests/s p50 is {_quantile(p50)} and p99 {_quantile(p99)} over {n} answers; {shares}.",)


def _quantile(found: Quantile | None) -> str:
    if found is None or found.value is None:
        return numbers.quantile(found)
    text = numbers.quantile(found)
    return f"{text} ms{numbers.bracketed(found.interval, beside=text)}"


def _with_cost(sentence: str, result: Result) -> tuple[str, tuple[str, ...]]:
    """The sentence with its cost in the same breath, or a second one that says why there is none."""
    cost = result.cost
    if cost is None or result.status is not Status.PASS:
        return f"{sentence}.", ()
    if not cost.priced or cost.per_million is None:
        return f"{sentence}.", (f"Its cost is unpriced: {printable(cost.detail, 240).rstrip('.')}.",)
    amount = numbers.money(cost.per_million, cost.currency)
    bounds = numbers.money_interval(cost.interval, cost.currency)
    brackets = f" ({bounds})" if bounds != numbers.MISSING else ""
    what = "correct predictions" if answers_checked(result) else "answers"
    return f"{sentence}, at {amount}{brackets} per million {what}.", ()


def joined(parts: Sequence[str]) -> str:
    parts = list(parts)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""
