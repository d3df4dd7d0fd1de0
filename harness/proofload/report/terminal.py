"""The closing table on a terminal: what `proofload run` and `compare` leave on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from proofload.records import Quantile, Result, Status
from proofload.report import numbers
from proofload.report.ranking import compare
from proofload.report.reduce.load_curve import share_of
from proofload.report.sentences import called, check_phrase, headline, measured_phase, observed_phrase
from proofload.report.states import STATES, told
from proofload.report.text import printable


def closing_table(results: Sequence[Result]) -> RenderableType:
    """Sentences, then one run's checks or several runs' figures. Hostile names are shown, never obeyed as markup."""
    if not results:
        return Text("no run has ended")
    if len(results) == 1:
        return Group(*_sentences(results[0]), _checks(results[0]))
    return Group(*(Text(sentence) for sentence in compare(results)), _figures(results))


def state_text(status: Status) -> Text:
    """Symbol and word in the state's colour."""
    return Text(told(status), style=STATES[status].terminal)


def _sentences(result: Result) -> list[Text]:
    return [Text(sentence, style="bold" if place == 0 else "") for place, sentence in enumerate(headline(result))]


def _checks(result: Result) -> Table:
    table = Table(title=f"{printable(result.scenario, 60)}: {called(result)}", title_justify="left", expand=False)
    for column in ("", "limit", "observed", "evidence"):
        table.add_column(Text(column))
    table.add_row(state_text(result.status), Text("the run"), Text(""), Text(_doubt(result)))
    for check in result.checks:
        name = check_phrase(check)
        evidence = check.settle if check.status is Status.INCONCLUSIVE and check.settle else check.evidence
        table.add_row(
            state_text(check.status), Text(name), Text(observed_phrase(check)), Text(printable(evidence, 240))
        )
    return table


def _doubt(result: Result) -> str:
    broken = [printable(item.detail, 120) for item in result.validity if not item.ok]
    return "; ".join(broken)


def _figures(results: Sequence[Result]) -> Table:
    rows = [_row(result) for result in results]
    aligned = [numbers.align(column) for column in zip(*rows, strict=True)]
    table = Table(expand=False)
    table.add_column(Text("target"))
    table.add_column(Text("verdict"))
    for title in ("requests/s", "interval", "cost/million", "p50 ms", "p99 ms", "n", "ok", "shed", "errors"):
        table.add_column(Text(title), justify="right")
    for index, result in enumerate(results):
        cells = [Text(column[index]) for column in aligned]
        table.add_row(Text(called(result)), state_text(result.status), *cells)
    return table


def _row(result: Result) -> tuple[str, ...]:
    phase, capacity, cost = measured_phase(result), result.capacity, result.cost
    rate, bounds = numbers.MISSING, ""
    if capacity is not None:
        rate = f"{'≥ ' if capacity.censored else ''}{numbers.significant(capacity.rate_rps)}"
        bounds = numbers.interval(capacity.interval)
    elif phase is not None:
        rate = numbers.significant(phase.offered_rps)
    priced = cost is not None and cost.priced and cost.per_million is not None
    money = numbers.money(cost.per_million, cost.currency) if cost is not None and priced else "unpriced"
    if phase is None:
        return (rate, bounds, money, *[numbers.MISSING] * 6)
    found = phase.latency.quantiles
    return (
        rate,
        bounds,
        money,
        _quantile(found.get("p50")),
        _quantile(found.get("p99")),
        numbers.count(phase.latency.n),
        *(numbers.share(share_of(phase, name)) for name in ("ok", "shed", "error")),
    )


def _quantile(found: Quantile | None) -> str:
    """Without the number of samples that it needs: the report tells that, and a terminal is narrow."""
    return numbers.MISSING if found is None or found.value is None else numbers.quantile(found)
