"""How the four states are told apart: outcomes and sections in the terminal, JUnit properties, a step summary.

    pass           passed
    fail           failed
    inconclusive   an outcome of its own (?): not passed, and unless it is allowed pytest ends with status 13, where
                   nothing failed; with --proofload-inconclusive=fail it is a failure
    invalid        an outcome of its own (!), which fails like a failure: nothing is known about the target

pytest's JUnit file knows passed, failed and skipped; an inconclusive test stands there as skipped, with its reason,
and its property `proofload.status` says what it is. Registered when proofload is first used.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from proofload._in_pytest.items import ScenarioItem
from proofload._in_pytest.measured import Measured, NotPassed, codes, explained, reason, told_check
from proofload.records import Status
from proofload.report.states import told
from proofload.report.text import printable, printable_block
from proofload.run_process import RunError

if TYPE_CHECKING:
    from proofload._in_pytest.runs import Runs

EXIT_INCONCLUSIVE = 13
"""Of pytest, where nothing failed and at least one run came to no verdict. pytest itself uses 0 to 6."""
NO_RESULT = "error"
_STATUS = "proofload_status"


class Telling:
    """A plugin of this session."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._mode = runs.asked.inconclusive
        self._unwritten = ""
        self._broken = 0
        """How many runs without a result test reports tell of."""
        self._open: list[tuple[str, Measured]] = []
        """Tests that came to no verdict, with the run that decided."""
        self._invalid: list[tuple[str, Measured]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        made, self._runs.pending = self._runs.pending, []
        for run in made:
            item.user_properties += _properties(run, _runs_in(item))
        for label, _ in self._runs.broken[self._broken :]:
            prefix = _prefix(_runs_in(item))
            item.user_properties += [(f"{prefix}.run", printable(label, 120)), (f"{prefix}.status", NO_RESULT)]
        self._broken = len(self._runs.broken)
        raised = call.excinfo.value if call.excinfo is not None else None
        report = yield
        if isinstance(raised, RunError) and isinstance(item, ScenarioItem):
            setattr(report, _STATUS, NO_RESULT)
        elif isinstance(raised, NotPassed):
            self._settle(report, raised.run)
        elif report.failed:  # an assertion of somebody's own: what was measured stands beside it
            report.sections += [("proofload", explained(run)) for run in made if not run.passed]
        return report

    def _settle(self, report: pytest.TestReport, run: Measured) -> None:
        setattr(report, _STATUS, str(run.status))
        if run.status is Status.INVALID:
            self._invalid.append((report.nodeid, run))
        elif run.status is Status.INCONCLUSIVE:
            self._open.append((report.nodeid, run))
            if self._mode != "fail":
                path, line, _ = report.location
                report.outcome = "skipped"
                report.longrepr = (path, (line or 0) + 1, reason(run))

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, tuple[str, Mapping[str, bool]]] | None:
        match getattr(report, _STATUS, ""):
            case Status.INCONCLUSIVE:
                return "inconclusive" if report.skipped else "failed", "?", ("INCONCLUSIVE", {"yellow": True})
            case Status.INVALID:
                return "invalid", "!", ("INVALID", {"purple": True})
            case "error":
                return "error", "E", ("ERROR", {"red": True})
        return None

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self._decides(exitstatus):
            session.exitstatus = EXIT_INCONCLUSIVE
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary and (self._runs.done or self._runs.broken):
            try:
                with Path(summary).open("a", encoding="utf-8") as file:
                    file.write(step_summary(self._runs))
            except OSError as exc:
                self._unwritten = f"the step summary could not be written: {exc}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        write = terminalreporter
        for title, found in (("INVALID", self._invalid), ("INCONCLUSIVE", self._open)):
            if found and not (title == "INCONCLUSIVE" and self._mode == "fail"):
                write.section(title)
                for nodeid, run in found:
                    write.write_sep("_", nodeid)
                    write.write_line(explained(run))
        if self._runs.done or self._runs.broken:
            write.section("proofload")
        for run in self._runs.done:
            first = run.headline[0] if run.headline else ""
            write.write_line(f"{told(run.status):<14}  {run.label}  {printable(first, 300)}".rstrip())
            write.write_line(f"{'':<14}  {run.folder}")
        for label, why in self._runs.broken:
            write.write_line(f"{'no result':<14}  {label}  {printable(why.splitlines()[0], 300)}")
        if self._unwritten:
            write.write_line(self._unwritten, yellow=True)
        if self._decides(exitstatus):
            write.write_line(
                f"Nothing failed, but {_tests(len(self._open))} came to no verdict, which is no pass: exit status "
                f"{EXIT_INCONCLUSIVE}. --proofload-inconclusive=fail or =allow decides otherwise.",
                yellow=True,
            )
        elif self._open and self._mode == "allow":
            write.write_line(
                f"{_tests(len(self._open))} came to no verdict, which is allowed here and is no pass.", yellow=True
            )

    def _decides(self, exitstatus: int) -> bool:
        return exitstatus == pytest.ExitCode.OK and bool(self._open) and self._mode == "report"


def step_summary(runs: Runs) -> str:
    """Markdown: a table of verdicts, then what did not pass. Hostile names are shown as they are."""
    from proofload.report.formats.md import escaped, fenced

    lines = ["## proofload", "", "| verdict | run | finding |", "| :--- | :--- | :--- |"]
    for run in runs.done:
        finding = escaped(printable(run.headline[0], 300)) if run.headline else ""
        lines.append(f"| {told(run.status)} | {escaped(printable(run.label, 120))} | {finding} |")
    for label, why in runs.broken:
        lines.append(
            f"| no result | {escaped(printable(label, 120))} | {escaped(printable(why.splitlines()[0], 300))} |"
        )
    for text in [*(explained(run) for run in runs.done if not run.passed), *(why for _, why in runs.broken)]:
        lines += ["", fenced(printable_block(text, 4000))]
    return "\n".join([*lines, "", ""])


def _properties(run: Measured, earlier: int) -> Iterator[tuple[str, str]]:
    """For JUnit; of a test's second run "proofload.2.status" and so on."""
    prefix = _prefix(earlier)
    yield f"{prefix}.run", printable(run.label, 120)
    yield f"{prefix}.status", str(run.status)
    yield f"{prefix}.codes", " ".join(printable(code, 80) for code in codes(run.record))
    yield f"{prefix}.run_folder", printable(run.folder, 400)
    yield f"{prefix}.command", printable(run.command, 1000)
    for check in run.checks:
        yield f"{prefix}.check.{printable(check.name, 80)}", f"{check.status}: {printable(told_check(check), 400)}"


def _prefix(earlier: int) -> str:
    return "proofload" if not earlier else f"proofload.{earlier + 1}"


def _runs_in(item: pytest.Item) -> int:
    """How many runs the test's properties tell of already."""
    return sum(name.startswith("proofload") and name.endswith(".run") for name, _ in item.user_properties)


def _tests(count: int) -> str:
    return "one test" if count == 1 else f"{count} tests"
