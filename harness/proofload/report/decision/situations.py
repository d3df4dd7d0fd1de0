"""What each option does at ten times its load, cold, on rollback: by the verdict of one run each."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.comparing.found import Comparison, Once
from proofload.comparing.unmeasured import SITUATIONS
from proofload.report.document import Block, Cell, Column, Note, Section, Table, table
from proofload.report.sentences import joined
from proofload.report.text import printable

TITLE = "At ten times the load, cold, on rollback"
_WHAT = {
    "peak-10x": "at ten times its load",
    "cold-start": "cold",
    "canary-rollback": "rolled out and back",
    "soak": "after a long time",
    "capacity": "at its capacity",
}
_ONTO_ITSELF = "rolled out onto itself"
_SENTENCES = 3
_NOT_MADE = "not measured"


def glance(found: Comparison) -> Table:
    """Every verdict there is, option by option: what a team that has to choose looks for first."""
    baseline = found.options[0].label
    made = {(one.scenario, one.option): one.status for one in found.once}
    names = _scenarios(found)
    rows: list[tuple[Cell, ...]] = [
        (
            option.label,
            "the baseline" if option.standing is None else option.standing,
            option.meets if option.requirements else "none",
            *(made.get((name, option.label)) or _NOT_MADE for name in names),
        )
        for option in found.options
    ]
    columns = [Column("option", "target"), Column(f"against {baseline}", "state"), Column("requirements", "state")]
    columns += [Column(_titled(found, name), "state") for name in names]
    return table("Every verdict", columns, rows)


def situations(found: Comparison) -> Section:
    blocks: list[Block] = [_situation(found, name) for name in _scenarios(found)]
    procedures = {one.procedure for one in found.once if not one.onto_itself}
    missing = [name for name in SITUATIONS if name not in procedures]
    if missing:
        blocks.append(Note(f"Not measured: {joined([_WHAT[name] for name in missing])}."))
    return Section("situations", TITLE, tuple(blocks))


def _scenarios(found: Comparison) -> Sequence[str]:
    """Those that each option was put into once, in the order they were asked for."""
    once = {one.scenario for one in found.once}
    return [name for name in found.scenarios if name in once]


def _titled(found: Comparison, scenario: str) -> str:
    """What it is; with the scenario's name where that is not the procedure's."""
    made = [one for one in found.once if one.scenario == scenario]
    procedure = made[0].procedure
    what = _WHAT.get(procedure, procedure)
    if procedure == "canary-rollback" and all(one.onto_itself for one in made):
        what = _ONTO_ITSELF
    return what if scenario == procedure else f"{what} ({printable(scenario, 60)})"


def _situation(found: Comparison, scenario: str) -> Block:
    made = {one.option: one for one in found.once if one.scenario == scenario}
    rows: list[tuple[Cell, ...]] = [
        (option.label, one.status or _NOT_MADE, _said(one), one.folder)
        for option in found.options
        if (one := made.get(option.label)) is not None
    ]
    columns = [Column("option", "target"), Column("verdict", "state"), Column("what was seen"), Column("run folder")]
    title = _titled(found, scenario)
    return table(title[:1].upper() + title[1:], columns, rows)


def _said(one: Once) -> str:
    if one.status is None:
        return "No run of it is there."
    said = " ".join(printable(sentence, 300) for sentence in one.said[:_SENTENCES])
    if one.onto_itself:
        return f"{said} It was {_ONTO_ITSELF}: no other version was named."
    return f"{said} The second version was {printable(one.canary, 60)}." if one.canary else said
