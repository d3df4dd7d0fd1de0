"""The first thirty seconds: the answer in sentences, and each target in a glance."""

from __future__ import annotations

from proofload.records import Capacity, Status
from proofload.report import numbers
from proofload.report.document import Block, Card, Cards, Lines, Section
from proofload.report.ranking import compare
from proofload.report.reduce.load_curve import share_of
from proofload.report.sections.page import Page
from proofload.report.sentences import answers_checked, held_text, measured_phase, telling_phases
from proofload.report.text import printable
from proofload.report.view import RunView


def section(page: Page) -> Section:
    blocks: list[Block]
    cards = Cards(tuple(_card(run) for run in page.runs))
    if page.several:
        ranking = compare([run.result for run in page.runs], [run.label for run in page.runs])
        each = tuple(" ".join(run.sentences[: 2 if _doubtful(run) else 1]) for run in page.runs)
        blocks = [Lines(ranking, big=True), cards, Lines(each)]
    else:
        sentences = page.runs[0].sentences
        blocks = [Lines(sentences[:1], big=True), cards, Lines(sentences[1:])]
    return Section("answer", "Answer", tuple(blocks))


def _doubtful(run: RunView) -> bool:
    return run.result.status in {Status.INVALID, Status.INCONCLUSIVE}


def _card(run: RunView) -> Card:
    result = run.result
    figures: list[tuple[str, str]] = []
    found = result.capacity
    if found is not None and not found.confirmed:
        figures.append((held_text(result), _searched(found)))
    elif found is not None:
        doubt = ", not to be relied on" if result.status is Status.INVALID else ""
        figures.append((held_text(result), f"requests/s held{numbers.bracketed(found.interval)}{doubt}"))
    phase = measured_phase(result)
    if phase is not None:
        if result.capacity is None:
            where = f", {printable(phase.name, 40)}" if len(telling_phases(result)) > 1 else ""
            figures.append((numbers.significant(phase.offered_rps), f"requests/s offered{where}"))
        p99 = phase.latency.quantiles.get("p99")
        if p99 is not None and p99.value is not None:
            within = numbers.bracketed(p99.interval, beside=numbers.quantile(p99))
            n = numbers.count(phase.latency.n)
            figures.append((f"{numbers.quantile(p99)} ms", f"p99{within}, n = {n}"))
        shed, error = share_of(phase, "shed"), share_of(phase, "error")
        ok = "correct and in time" if answers_checked(result) else "answered in time, correctness not checked"
        beside = f"{ok}; shed {numbers.share(shed)}, errors {numbers.share(error)}"
        figures.append((numbers.share(share_of(phase, "ok")), beside))
    cost = result.cost
    held = found is None or found.confirmed
    if held and cost is not None and cost.priced and cost.per_million is not None:
        bounds = numbers.money_interval(cost.interval, cost.currency)
        within = f" ({bounds})" if bounds != numbers.MISSING else ""
        figures.append(
            (
                numbers.money(cost.per_million, cost.currency),
                f"per million {'correct' if answers_checked(result) else 'answers'}{within}",
            )
        )
    if not figures and result.checks:
        well = sum(check.status is Status.PASS for check in result.checks)
        figures.append((f"{well} of {len(result.checks)}", "checks pass"))
    if not figures:
        figures.append(("nothing", "was measured"))
    return Card(run.label, result.status, tuple(figures))


def _searched(found: Capacity) -> str:
    if found.rate_rps is None:
        return "of the rates that were tried"
    return f"the search got to {numbers.significant(found.rate_rps)} requests/s"
