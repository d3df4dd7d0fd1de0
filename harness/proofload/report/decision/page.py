"""The comparison as a document, in the order of a team's questions."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.comparing.found import Comparison
from proofload.records import Status
from proofload.report import numbers
from proofload.report.decision.lifetimes import lifetimes
from proofload.report.decision.pairs import pairs
from proofload.report.decision.ranking import ranking
from proofload.report.decision.situations import glance, situations
from proofload.report.decision.words import answer, cost_text, held, level
from proofload.report.document import (
    Block,
    Card,
    Cards,
    Cell,
    Code,
    Column,
    Document,
    Lines,
    Note,
    Section,
    table,
)
from proofload.report.looks import looks
from proofload.report.text import printable, printable_block

_AGAIN = (
    "Every number above comes from the run folders in {folder}/lifetimes; the same command with that folder as --out "
    "judges them again, and makes only what is missing."
)


def decision_document(found: Comparison) -> Document:
    """The whole page."""
    labels = [one.label for one in found.options]
    shown = looks(labels)
    sections: Sequence[Section | None] = (
        _answer(found),
        _requirements(found),
        pairs(found, shown),
        ranking(found, shown),
        situations(found),
        _not_measured(found),
        lifetimes(found),
        _environment(found),
        _reproduce(found),
    )
    when = printable(found.started_at, 40).replace("T", " ")
    return Document(
        title=f"{', '.join(labels[1:])} against {labels[0]}",
        subtitle=f"proofload · compare · {', '.join(printable(name, 60) for name in found.scenarios)} · {when}",
        sections=tuple(section for section in sections if section is not None),
        looks=shown,
    )


def _answer(found: Comparison) -> Section:
    said = answer(found)
    count = len(found.options) - 1
    return Section(
        "answer", "Answer", (Lines(said[:count], big=True), Lines(said[count:]), glance(found), _cards(found))
    )


def _cards(found: Comparison) -> Cards:
    cards = []
    for place, option in enumerate(found.options):
        figures = [(level(option.service_p50), "median service time (99 % interval)")]
        figures.append((level(option.latency_p99), f"p99 latency, n = {numbers.count(option.answers)}"))
        figures.append((numbers.share(option.ok_share), "answered well"))
        price = option.price
        if price is not None and price.at_capacity:
            figures.append((held(price), "requests/s held"))
        if price is not None and price.cost.priced:
            basis = "at capacity" if price.at_capacity else "at the offered rate"
            figures.append((cost_text(price), f"per million correct, {basis}"))
        if place == 0:
            figures.append(("the baseline", "what the others are compared with; its state is that of its requirements"))
        cards.append(Card(option.label, option.standing or option.meets, tuple(figures)))
    return Cards(tuple(cards))


def _requirements(found: Comparison) -> Section:
    rows: list[tuple[Cell, ...]] = [
        (option.label, one.status, one.name, one.observed, one.evidence)
        for option in found.options
        for one in option.requirements
    ]
    title = "What was required"
    if not rows:
        return Section("requirements", title, (Note("Nothing was measured that a requirement could be judged by."),))
    columns = [
        Column("option", "target"),
        Column("kept", "state"),
        Column("required"),
        Column("observed"),
        Column("evidence"),
    ]
    more = [option.label for option in found.options if option.meets is not Status.PASS]
    note = "A limit is judged over all lifetimes of an option together; money by what prices and capacity allow."
    blocks: list[Block] = [table(title, columns, rows), Note(note)]
    if more:
        blocks.append(Note(f"Not shown to keep everything: {', '.join(more)}. What is open is not kept."))
    return Section("requirements", title, tuple(blocks))


def _not_measured(found: Comparison) -> Section:
    return Section("not-measured", "What was not measured", (Lines(found.not_measured),))


def _environment(found: Comparison) -> Section:
    told = {key: value for key, value in found.environment.items() if not isinstance(value, dict | list)}
    rows = [(printable(key.replace("_", " "), 60), printable(value, 200)) for key, value in told.items()]
    if not rows:
        return Section("environment", "Environment", (Note("No lifetime was recorded."),))
    return Section("environment", "Environment", (table("Where it was measured", ["what", "value"], rows),))


def _reproduce(found: Comparison) -> Section:
    command = printable_block(found.command, 2000)
    return Section(
        "reproduce",
        "Reproduce it",
        (
            Code("Compare again", command),
            Lines((_AGAIN.format(folder=printable(found.folder, 300)),)),
        ),
    )
