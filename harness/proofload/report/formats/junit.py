"""JUnit XML for continuous integration: one suite per run, one case per check and per validity item.

A failed check is a <failure>. An inconclusive check, a broken validity item and a run without any check are
an <error>, never <skipped>: most systems show skipped as green, and no verdict is not a pass.

The XML keeps to what the strict schemas in use have in common: what was observed, its interval and its limit
stand in the suite's properties, because not every schema allows properties in a case.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proofload.errors import InputError
from proofload.records import Check, Result, Status, Validity
from proofload.report.formats import Format
from proofload.report.sections.page import page_of
from proofload.report.sentences import check_phrase, limit_text, observed_phrase
from proofload.report.text import printable, printable_block
from proofload.report.view import RunView


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    problem: str = ""
    """Empty, "failure" or "error"."""
    kind: str = ""
    message: str = ""
    detail: str = ""


class JUnit:
    suffix = ".xml"

    def render(self, runs: Sequence[RunView]) -> str:
        if not runs:
            raise InputError("a report needs at least one run", remedy="name a run folder")
        page = page_of(runs)
        root = ET.Element("testsuites")
        for number, run in enumerate(page.runs):
            root.append(_suite(run, number))
        ET.indent(root)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def create() -> Format:
    return JUnit()


def _suite(run: RunView, number: int) -> ET.Element:
    result = run.result
    cases = list(_cases(result))
    scenario, target = printable(result.scenario, 80), _target(run)
    suite = ET.Element(
        "testsuite",
        name=f"{scenario} / {target}",
        package="proofload",
        id=str(number),
        timestamp=_timestamp(result.started_at),
        hostname="localhost",  # the format demands one; a run does not record the name of its host
        tests=str(len(cases)),
        failures=str(sum(case.problem == "failure" for case in cases)),
        errors=str(sum(case.problem == "error" for case in cases)),
        skipped="0",
        time=f"{result.duration_s:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(run):
        ET.SubElement(properties, "property", name=name, value=value)
    for case in cases:
        element = ET.SubElement(
            suite,
            "testcase",
            name=case.name,
            classname=f"proofload.{_dotless(scenario)}.{_dotless(target)}",
            time="0",
        )
        if case.problem:
            problem = ET.SubElement(element, case.problem, message=case.message, type=case.kind)
            problem.text = case.detail
    ET.SubElement(suite, "system-out").text = "\n".join(run.sentences)
    ET.SubElement(suite, "system-err").text = ""
    return suite


def _target(run: RunView) -> str:
    """The run's label, without the scenario that it may begin with: the suite names that by itself."""
    return run.label.removeprefix(f"{printable(run.result.scenario, 40)} · ")


def _cases(result: Result) -> Iterator[_Case]:
    for item in result.validity:
        yield _validity_case(item)
    for check in result.checks:
        yield _check_case(check)
    if not result.checks:
        message = f"no limit was judged: the run ended as {result.status.value}"
        yield _Case("a verdict", "error", result.status.value, message, message)


def _validity_case(item: Validity) -> _Case:
    name = f"valid: {printable(item.code, 80)}"
    if item.ok:
        return _Case(name)
    detail = printable_block(f"{item.detail}\nnext: {item.remedy}" if item.remedy else item.detail)
    return _Case(name, "error", "invalid", f"invalid measurement: {printable(item.detail, 300)}", detail)


def _check_case(check: Check) -> _Case:
    name = check_phrase(check)
    limit = "" if check.limit is None else f", limit {limit_text(check)}"
    seen = printable(check.evidence, 200) if check.observed is None else f"observed {observed_phrase(check)}{limit}"
    detail = printable_block("\n".join(part for part in (seen, check.evidence, check.settle) if part))
    match check.status:
        case Status.PASS:
            return _Case(name)
        case Status.FAIL:
            return _Case(name, "failure", "fail", seen, detail)
        case _:
            return _Case(name, "error", check.status.value, f"{check.status.value}: {seen}", detail)


def _properties(run: RunView) -> Iterator[tuple[str, str]]:
    result = run.result
    yield "status", result.status.value
    yield "procedure", printable(result.procedure, 80)
    yield "target", _target(run)
    yield "run_folder", printable(run.path, 400)
    yield "command", printable(result.command, 1000)
    if result.capacity is not None and result.capacity.rate_rps is not None:
        yield "capacity_rps", repr(result.capacity.rate_rps)
    for check in result.checks:
        name = printable(check.name, 80)
        for key, value in (
            ("observed", check.observed),
            ("interval_low", check.interval.low),
            ("interval_high", check.interval.high),
            ("limit", check.limit),
        ):
            if value is not None:
                yield f"{name}.{key}", repr(value)
        yield f"{name}.unit", printable(check.unit, 40)


def _timestamp(started_at: str) -> str:
    """Local time without fraction or zone, as the schemas want it."""
    found = re.match(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}", started_at)
    return found[0] if found else "1970-01-01T00:00:00"


def _dotless(name: str) -> str:
    return name.replace(".", "_")
