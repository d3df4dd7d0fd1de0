"""All options beside each other, with intervals; and what each costs against how slow its slowest answers are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from proofload.comparing.found import Comparison, Option
from proofload.records import Status
from proofload.report import numbers
from proofload.report.decision.words import cost_text, held, level, whole
from proofload.report.document import Block, Cell, Column, Lines, Look, Note, Picture, Section, table
from proofload.report.pictures.pareto import Place, frontier, pareto_picture
from proofload.report.sentences import joined
from proofload.report.text import printable

TITLE = "Ranking"
_ORDER = (Status.PASS, Status.INCONCLUSIVE, Status.FAIL)


def ranking(found: Comparison, looks: Mapping[str, Look]) -> Section:
    """Those that keep what was required first; among them by median service time."""
    apart = dict(found.ranking)
    fastest = [label for label, _ in found.ranking]
    order = sorted(
        found.options,
        key=lambda one: (
            _ORDER.index(one.meets) if one.requirements else len(_ORDER),
            fastest.index(one.label) if one.label in fastest else len(fastest),
        ),
    )
    rows: list[tuple[Cell, ...]] = []
    for option in order:
        price = option.price
        first = not fastest or option.label == fastest[0]
        tie = "" if first or apart.get(option.label) else "not told apart from the next faster"
        rows.append(
            (
                option.label,
                option.meets if option.requirements else "",
                option.standing if option.standing is not None else "baseline",
                level(option.service_p50),
                level(option.latency_p99),
                numbers.count(option.answers),
                numbers.share(option.ok_share),
                held(price),
                cost_text(price),
                "" if price is None else whole(price.instances),
                "" if price is None else numbers.money_range(price.per_month, price.cost.currency),
                tie,
            )
        )
    columns = [
        Column("option", "target"),
        Column("requirements", "state"),
        Column("against the baseline", "state"),
        Column("median service time"),
        Column("p99 latency"),
        Column("answers", "number"),
        Column("answered well", "number"),
        Column("holds (requests/s)"),
        Column("per million"),
        Column("instances"),
        Column("a month"),
        Column("order"),
    ]
    blocks: list[Block] = [table(f"Options with their 99 % intervals{_under(found)}", columns, rows)]
    picture = _pareto(found, looks)
    blocks.append(picture if picture is not None else Note(_why_no_picture(found)))
    blocks.append(Lines(tuple(_arithmetic(found))))
    return Section("ranking", TITLE, tuple(blocks))


def _under(found: Comparison) -> str:
    """Which load an option's own values are of, where there are several."""
    loads = list(dict.fromkeys(one.scenario for one in found.besides if one.metrics))
    return f", under {printable(loads[0], 60)}" if len(loads) > 1 else ""


def places(found: Comparison) -> list[Place]:
    """The options that have both a cost and a p99, on the same grounds."""
    grounds = {one.price.at_capacity for one in found.options if one.price is not None}
    there = []
    for one in found.options:
        price, p99 = one.price, one.latency_p99
        if price is None or p99 is None or price.cost.per_million is None or len(grounds) > 1:
            continue
        there.append(Place(one.label, price.cost.per_million, price.cost.interval, p99.value, p99.interval))
    return there


def _pareto(found: Comparison, looks: Mapping[str, Look]) -> Picture | None:
    there = places(found)
    if not there:
        return None
    first = next(one.price for one in found.options if one.price is not None)
    where = "at the capacity of each" if first.at_capacity else "at the offered rate"
    title = f"cost per million correct ({printable(first.cost.currency, 8)}), {where}"
    best = frontier(there)
    told = "; ".join(
        f"{one.label}: {numbers.money(one.cost, first.cost.currency)} and {numbers.significant(one.p99_ms)} ms"
        for one in there
    )
    return Picture(
        key="pareto",
        draw=lambda: pareto_picture(
            "pareto",
            there,
            looks,
            cost_title=title,
            limit_ms=found.p99_limit_ms,
            budget=found.settings.get("budget_per_million"),
        ),
        alt=f"Cost against p99. {told}. Beaten by none in both: {joined(list(best))}.",
        caption=f"Down and to the left is better. The p99 is that of the pairs' load; crosses are intervals. None of "
        f"the others beats {_listed(best)} in both{'; the dotted line joins them' if len(best) > 1 else ''}.",
        wide=True,
    )


def _listed(labels: Sequence[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} or {labels[-1]}"


def _why_no_picture(found: Comparison) -> str:
    open_cost = [one.label for one in found.options if one.price is None or one.price.cost.per_million is None]
    return (
        f"No picture of cost against p99: there is no cost for {joined(open_cost)}."
        if open_cost
        else "No picture of cost against p99: there is no p99."
    )


def _arithmetic(found: Comparison) -> Iterator[str]:
    for option in found.options:
        yield f"{option.label}: {_told(option)}"


def _told(option: Option) -> str:
    if option.price is None:
        return "no run that passed confirmed a rate that a price could be of."
    return printable(option.price.cost.detail, 600)
