"""What came of a run: its result with its folder, and how each of the four states becomes an outcome of pytest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofload.records import Capacity, Check, Cost, PhaseSummary, Result, Status, Validity

_SHOWN_PROBLEMS = 12


@dataclass(frozen=True, slots=True, repr=False)
class Measured:
    """A run's result (`proofload.records.Result`, of which the members most asked for are here too) and its folder."""

    record: Result
    folder: Path
    command: str
    """What makes the run again."""
    label: str
    """ "soak[fastapi]"."""

    @property
    def status(self) -> Status:
        """pass, fail, inconclusive or invalid; equal to that word."""
        return self.record.status

    @property
    def passed(self) -> bool:
        """Whether the target was shown to hold. False for fail, inconclusive and invalid alike."""
        return self.record.status is Status.PASS

    @property
    def checks(self) -> tuple[Check, ...]:
        return self.record.checks

    @property
    def validity(self) -> tuple[Validity, ...]:
        return self.record.validity

    @property
    def phases(self) -> tuple[PhaseSummary, ...]:
        return self.record.phases

    @property
    def capacity(self) -> Capacity | None:
        return self.record.capacity

    @property
    def cost(self) -> Cost | None:
        return self.record.cost

    @property
    def headline(self) -> tuple[str, ...]:
        return self.record.headline

    @property
    def details(self) -> Mapping[str, Any]:
        return self.record.details

    def check(self, name: str) -> Check:
        """The check of that name, like "slo.p99_ms". Raises LookupError that names those there are."""
        for check in self.record.checks:
            if name in {check.name, check.name.removeprefix("slo.")}:
                return check
        known = ", ".join(check.name for check in self.record.checks) or "none"
        raise LookupError(f"{self.label} has no check {name!r}; there are: {known}")

    def assert_pass(self) -> None:
        """Nothing, after a pass; else NotPassed, which pytest shows as fail, as inconclusive or as invalid."""
        __tracebackhide__ = True
        if not self.passed:
            raise NotPassed(self)

    def __repr__(self) -> str:
        """Short, because pytest shortens it: what a plain `assert result.passed` shows."""
        problems = [problem.splitlines()[0] for problem in _problems(self.record)]
        return f"<{self.label}: {self.status}{''.join(f'; {problem}' for problem in problems[:2])}>"


class NotPassed(AssertionError):  # noqa: N818  a verdict, not an error
    """A run that did not pass; its text is `explained`."""

    def __init__(self, run: Measured) -> None:
        super().__init__(explained(run))
        self.run = run


def explained(run: Measured) -> str:
    """Why a run did not pass: what was observed, its interval and the limit, of each check that did not."""
    from proofload.report.states import told

    problems = list(_problems(run.record))
    more = len(problems) - _SHOWN_PROBLEMS
    lines = [f"{run.label}: {told(run.status)}", *problems[:_SHOWN_PROBLEMS]]
    lines += [f"and {more} more"] if more > 0 else []
    lines += [f"report: {run.folder / 'report.html'}", f"again: {run.command}"]
    return "\n".join(lines)


def reason(run: Measured) -> str:
    """The same in one line."""
    first = next(iter(_problems(run.record)), "no limit was judged")
    return f"{run.status}: {first.splitlines()[0]}"


def codes(result: Result) -> tuple[str, ...]:
    """What may not be believed (validity codes) and the diagnoses of what failed, each once."""
    broken = [item.code for item in result.validity if not item.ok]
    causes = [check.cause for check in result.checks if check.cause]
    return tuple(dict.fromkeys([*broken, *causes]))


def told_check(check: Check) -> str:
    """ "p99 ≤ 50 ms: observed 81.0 ms (77.2–86.4), limit 50 ms"."""
    from proofload.report.sentences import check_phrase, limit_text, observed_phrase
    from proofload.report.text import printable

    limit = "" if check.limit is None else f", limit {limit_text(check)}"
    seen = printable(check.evidence, 300) if check.observed is None else f"observed {observed_phrase(check)}{limit}"
    return f"{check_phrase(check)}: {seen}"


def _problems(result: Result) -> Iterator[str]:
    from proofload.report.text import printable

    for item in result.validity:
        if not item.ok:
            remedy = f"\n    next: {printable(item.remedy, 300)}" if item.remedy else ""
            yield f"{printable(item.code, 80)}: {printable(item.detail, 300)}{remedy}"
    for check in sorted(result.checks, key=lambda check: check.status is not Status.FAIL):
        if check.status is Status.PASS:
            continue
        lines = [f"{check.status}  {told_check(check)}"]
        if check.observed is not None and check.evidence:
            lines.append(f"    {printable(check.evidence, 400)}")
        if check.cause:
            lines.append(f"    cause: {printable(check.cause, 80)}")
        if check.settle:
            lines.append(f"    what would settle it: {printable(check.settle, 300)}")
        yield "\n".join(lines)
