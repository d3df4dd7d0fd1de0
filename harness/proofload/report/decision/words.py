"""What a comparison says, in sentences made from what it found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proofload.comparing.found import Beside, Comparison, Level, Metric, Option, Price
from proofload.records import Interval, Status
from proofload.report import numbers
from proofload.report.sentences import joined
from proofload.verdict.comparison import GREEN, Standing


def answer(found: Comparison) -> tuple[str, ...]:
    """The first thirty seconds: how each candidate stands, then who meets what was required."""
    sentences = [_candidate(found, option) for option in found.options[1:]]
    return (*sentences, *_choice(found))


def change(metric: Metric) -> str:
    """ "+15.2 % (+14.1 % to +16.3 %)"."""
    if metric.factor is None:
        return numbers.MISSING
    text = percent(metric.factor)
    low, high = metric.interval.low, metric.interval.high
    return text if low is None or high is None else f"{text} ({percent(low)} to {percent(high)})"


def percent(factor: float) -> str:
    """A factor as a change: 1.15 is "+15.0 %"."""
    gain = 100.0 * (factor - 1.0)
    if abs(gain) < 0.005:
        return "0 %"
    shown = f"{abs(gain):.2f}" if abs(gain) < 1 else numbers.significant(abs(gain))
    return f"{'+' if gain > 0 else '−'}{shown} %"


def between(factors: Interval) -> str:
    """ "+14.1 to +16.3 %"."""
    if factors.low is None or factors.high is None:
        return numbers.MISSING
    return f"{percent(factors.low).removesuffix(' %')} to {percent(factors.high)}"


def level(found: Level | None, unit: str = "ms") -> str:
    """ "4.21 ms (4.18–4.25)"."""
    if found is None:
        return numbers.MISSING
    return f"{numbers.significant(found.value)} {unit}{numbers.bracketed(found.interval)}"


def cost_text(price: Price | None) -> str:
    """ "$0.83 (0.79–0.88)", or that there is none."""
    if price is None or not price.cost.priced or price.cost.per_million is None:
        return "unpriced"
    bounds = numbers.money_interval(price.cost.interval, price.cost.currency)
    amount = numbers.money(price.cost.per_million, price.cost.currency)
    return amount if bounds == numbers.MISSING else f"{amount} ({bounds})"


def held(price: Price | None) -> str:
    """The rate an option is confirmed to hold."""
    if price is None or price.capacity is None:
        return numbers.MISSING
    at_least = "≥ " if price.capacity.censored else ""
    return f"{at_least}{numbers.significant(price.capacity.rate_rps)}{numbers.bracketed(price.capacity.interval)}"


def whole(bounds: Interval) -> str:
    """Instances: a count, or from the fewest to the most."""
    if bounds.low is not None and bounds.low == bounds.high:
        return numbers.count(bounds.low)
    ends = (None if end is None else numbers.count(end) for end in (bounds.low, bounds.high))
    low, high = ends
    if low is None and high is None:
        return numbers.MISSING
    return f"{low}–{high}" if low and high else f"≥ {low}" if low else f"≤ {high}"


def _candidate(found: Comparison, option: Option) -> str:
    assert option.standing is not None
    own = [one for one in found.besides if one.candidate == option.label]
    baseline = found.options[0].label
    who, than = option.label, baseline
    match option.standing:
        case Standing.WORSE:
            return f"{who} is worse than {than}: {joined(list(_named(own, Standing.WORSE)))}{_but(own, option)}."
        case Standing.BETTER:
            return f"{who} is better than {than}: {joined(list(_named(own, Standing.BETTER)))}, and nothing is worse."
        case Standing.EQUIVALENT:
            return _alike(own, who, than)
        case Standing.NOT_COMPARABLE:
            return f"{who} and {than} cannot be compared: {_why(own)}."
    return f"Whether {who} differs from {than} is not settled: {joined(list(_open(own)))}."


def _alike(own: Sequence[Beside], who: str, than: str) -> str:
    """Two that passed once each are not shown to be equivalent."""
    same = joined(list(_within(own)))
    if any(one.metrics for one in own):
        return f"{who} and {than} are equivalent: {same}."
    return f"{who} and {than} have the same verdicts: {same}; one run of each says no more."


def _named(own: Sequence[Beside], standing: Standing) -> Iterator[str]:
    """What is better, or worse, with its figure."""
    for one in own:
        for metric in one.metrics:
            if metric.standing is standing:
                yield f"its {metric.kind.title} differs by {change(metric)}"
        if one.verdict is standing:
            yield f"in {one.scenario} {one.because}"


def _but(own: Sequence[Beside], option: Option) -> str:
    gains = list(_named(own, Standing.BETTER))
    return f"; on the other side, {joined(gains)}" if gains and option.standing is Standing.WORSE else ""


def _within(own: Sequence[Beside]) -> Iterator[str]:
    for one in own:
        for metric in one.metrics:
            if metric.required:
                matters = f"{100 * metric.margin:g} % would matter"
                yield f"the {metric.kind.title} differs by {change(metric)}, where {matters}"
        if one.verdict is Standing.EQUIVALENT:
            yield f"in {one.scenario} {one.because}"


def _open(own: Sequence[Beside]) -> Iterator[str]:
    for one in own:
        for metric in one.metrics:
            if metric.required and metric.standing not in GREEN:
                more = f"; about {metric.pairs_needed} pairs would tell" if metric.pairs_needed else ""
                yield f"its {metric.kind.title} differs by {change(metric)}: {metric.because}{more}"
        if one.verdict is Standing.INCONCLUSIVE and one.asked_for:
            yield f"in {one.scenario} {one.because}"


def _why(own: Sequence[Beside]) -> str:
    waited_for = [one for one in own if one.asked_for]
    reasons = [metric.because for one in own for metric in one.metrics if metric.standing is Standing.NOT_COMPARABLE]
    reasons += [f"in {one.scenario} {one.because}" for one in waited_for if one.verdict is Standing.NOT_COMPARABLE]
    return "; ".join(dict.fromkeys(reasons)) or "nothing was measured"


def _choice(found: Comparison) -> Iterator[str]:
    """Who meets what was required, and who of them is fastest or cheapest."""
    asked = any(option.requirements for option in found.options)
    if not asked:
        return
    by = {status: [one for one in found.options if one.meets is status] for status in Status}
    fit = by[Status.PASS]
    if not fit:
        yield "None is shown to meet all that was required."
    elif len(fit) == len(found.options):
        yield f"{'Both' if len(fit) == 2 else f'All {len(fit)}'} meet what was required: {'; '.join(found.requires)}."
    else:
        yield f"What was required is met by {joined([one.label for one in fit])}: {'; '.join(found.requires)}."
    for one in by[Status.FAIL]:
        broken = [each for each in one.requirements if each.status is Status.FAIL]
        yield f"{one.label} does not keep {joined([f'{each.name} ({each.observed})' for each in broken])}."
    unsettled: dict[str, list[str]] = {}
    for one in by[Status.INCONCLUSIVE]:
        left = joined([each.name for each in one.requirements if each.status is Status.INCONCLUSIVE])
        unsettled.setdefault(left, []).append(one.label)
    for left, labels in unsettled.items():
        yield f"Not settled for {joined(labels)}: {left}."
    if len(fit) > 1:
        yield from _cheapest(fit)
        yield from _fastest(found, fit)


def _cheapest(fit: Sequence[Option]) -> Iterator[str]:
    priced = [
        (one.price.cost.per_million, one)
        for one in fit
        if one.price is not None and one.price.at_capacity and one.price.cost.per_million is not None
    ]
    if len(priced) < 2:
        return
    order = sorted(priced, key=lambda pair: pair[0])
    first, second = order[0][1], order[1][1]
    assert first.price is not None
    assert second.price is not None
    apart = _below(first.price.cost.interval, second.price.cost.interval)
    said = f"{first.label} costs the least of them, {cost_text(first.price)} per million correct predictions"
    rest = f"{second.label} {cost_text(second.price)}"
    yield f"{said}; {rest}{'' if apart else ', and their intervals overlap, so this does not order them'}."


def _fastest(found: Comparison, fit: Sequence[Option]) -> Iterator[str]:
    names = {one.label: one for one in fit}
    order = [(label, apart) for label, apart in found.ranking if label in names]
    if len(order) < 2:
        return
    first, (second, apart) = names[order[0][0]], order[1]
    ends = f"{first.label} {level(first.service_p50)}, {second} {level(names[second].service_p50)}"
    yield f"{'Fastest' if apart else 'Not told apart'} by median service time: {ends}."


def _below(one: Interval, other: Interval) -> bool:
    return one.high is not None and other.low is not None and one.high < other.low
