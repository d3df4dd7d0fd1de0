"""What `proofload compare` leaves on a terminal: sentences, and one row for each option."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from proofload.comparing.found import Comparison, Option
from proofload.records import Status
from proofload.report import numbers
from proofload.report.decision.words import answer, cost_text, held, level, percent
from proofload.report.states import STATES, told
from proofload.verdict.comparison import Standing


def closing(found: Comparison) -> RenderableType:
    """Hostile names are shown, never obeyed as markup."""
    sentences = [Text(said, style="bold" if place == 0 else "") for place, said in enumerate(answer(found))]
    kept = found.conservation
    others = {"invalid": kept.invalid, "unusable": len(kept.unusable), "lost": len(kept.lost)}
    counts = "".join(f", {count} {what}" for what, count in others.items() if count)
    lifetimes = Text(f"{kept.valid} of {kept.planned} lifetimes valid{counts}", style="dim")
    return Group(*sentences, _options(found), *_once(found), lifetimes)


def _options(found: Comparison) -> Table:
    table = Table(expand=False)
    for title in ("option", "stands", "requirements"):
        table.add_column(Text(title))
    for title in ("median service", "change", "p99", "ok", "holds/s", "per million"):
        table.add_column(Text(title), justify="right")
    for option in found.options:
        table.add_row(
            Text(option.label),
            Text("baseline") if option.standing is None else _word(option.standing),
            _word(option.meets) if option.requirements else Text(""),
            Text(level(option.service_p50)),
            Text(_change(found, option)),
            Text(level(option.latency_p99)),
            Text(numbers.share(option.ok_share)),
            Text(held(option.price)),
            Text(cost_text(option.price)),
        )
    return table


def _once(found: Comparison) -> list[Table]:
    if not found.once:
        return []
    table = Table(expand=False)
    for title in ("scenario", "option", "verdict", "what was seen"):
        table.add_column(Text(title))
    for one in found.once:
        status = Text("not measured") if one.status is None else _word(one.status)
        table.add_row(Text(one.scenario), Text(one.option), status, Text(one.said[0] if one.said else ""))
    return [table]


def _change(found: Comparison, option: Option) -> str:
    """Of the median service time, where it was compared."""
    for one in found.besides:
        if one.candidate == option.label and one.metrics and (factor := one.metrics[0].factor) is not None:
            return percent(factor)
    return ""


def _word(status: Status | Standing) -> Text:
    return Text(told(status), style=STATES[status].terminal)
