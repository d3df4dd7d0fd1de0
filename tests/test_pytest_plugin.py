"""The pytest plug-in: what it collects, what it makes of the four verdicts, and that it is not there when unused.

pytest runs inside this process on files of its own, and the run itself is a stand-in; one test measures for real.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from proofload import run_process
from proofload._in_pytest import fixture, items, telling
from proofload._in_pytest.asked import NOT_SHARED
from proofload._in_pytest.telling import EXIT_INCONCLUSIVE
from proofload.records import Check, Interval, Result, Status, Validity
from proofload.report.formats import md
from proofload.report.states import told
from proofload.run_process import Command, RunError
from proofload.scenarios import load_scenario
from proofload.testing import stub_server

pytest_plugins = ["pytester"]

LOADED = (fixture, items, telling, md)
"""pytester forgets what is imported while it runs, and numpy can be imported once only: so it is here before."""
SCENARIO = """\
procedure = "load"
targets = ["mine", "other.target.toml"]
duration_s = 7200
[slo]
p99_ms = 50
[quick]
duration_s = 5
"""
BY_CODE = """\
def test_peak(proofload):
    result = proofload.run("steady", target="mine", slo={{"p99_ms": 50}}, rate_rps=30)
    {assertion}
"""
P99 = Check(
    name="slo.p99_ms",
    status=Status.FAIL,
    observed=81.0,
    limit=50.0,
    unit="ms",
    interval=Interval(77.2, 86.4),
    evidence="412 of 9,000 answers took longer",
    cause="cpu-throttling",
)
OPEN = replace(P99, status=Status.INCONCLUSIVE, interval=Interval(44.0, 120.0), cause="", settle="about 9,000 answers")
LATE = Validity("send-lag", ok=False, detail="send lag p99 was 25 ms where 8 ms is permitted", remedy="free a core")


def result(status: Status) -> Result:
    return Result(
        scenario="steady",
        procedure="load",
        target={"name": "mine", "transport": "http"},
        status=status,
        validity=(LATE,) if status is Status.INVALID else (),
        checks=(
            {
                Status.PASS: replace(P99, status=Status.PASS, observed=20.0, interval=Interval(18.0, 22.0), cause=""),
                Status.FAIL: P99,
            }.get(status, OPEN),
        ),
        phases=(),
        client=None,
        cost=None,
        environment={},
        command="proofload run steady",
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=5.0,
        headline=(f"The answer is {status}.",),
    )


class Lab:
    """Stands for the run: remembers what it was asked, and ends as it is told."""

    def __init__(self) -> None:
        self.asked: list[Command] = []
        self.status = Status.PASS
        self.error = ""

    def measured(self, asked: Command) -> Result:
        self.asked.append(asked)
        if self.error:
            raise RunError(self.error)
        return result(self.status)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    stand_in = Lab()
    monkeypatch.setattr(run_process, "measured", stand_in.measured)
    return stand_in


@pytest.fixture(autouse=True)
def repository(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A user's repository: scenarios in a folder, at the root and below the tests."""
    for name in ("GITHUB_STEP_SUMMARY", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    # Far from any configuration file of pytest above it, locust's plug-in (which patches this process) left out.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:locust -p no:cacheprovider")
    for name in ("scenarios/steady", "root", "tests/deep/inner"):
        path = pytester.path / f"{name}.scenario.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCENARIO, encoding="utf-8")
    (pytester.path / "tests" / "test_own.py").write_text("def test_own(): pass\n", encoding="utf-8")
    load_scenario(str(pytester.path / "root.scenario.toml"), quick=True)
    return pytester.path


Statuses = pytest.mark.parametrize("status", [Status.FAIL, Status.INCONCLUSIVE, Status.INVALID])


def labels(lab: Lab) -> list[str]:
    return [asked.out.name for asked in lab.asked]


# What is collected.


@pytest.mark.parametrize("words", [(), (".",), ("tests",), ("-k", "not nothing")])
def test_what_is_not_asked_for_is_not_run(pytester: pytest.Pytester, lab: Lab, words: tuple[str, ...]) -> None:
    pytester.runpytest_inprocess(*words).assert_outcomes(passed=1)
    assert lab.asked == []


def test_not_even_where_the_configuration_leads_pytest_to_scenarios(pytester: pytest.Pytester, lab: Lab) -> None:
    pytester.makeini("[pytest]\ntestpaths = scenarios tests\n")
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    assert lab.asked == []


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        (("scenarios",), ["steady-mine", "steady-other"]),
        (("scenarios/",), ["steady-mine", "steady-other"]),
        (("root.scenario.toml",), ["root-mine", "root-other"]),
        (("scenarios/steady.scenario.toml::steady[other]",), ["steady-other"]),
        (("tests/deep",), ["inner-mine", "inner-other"]),
        (("scenarios", "-k", "mine"), ["steady-mine"]),
        (("tests/deep/inner.scenario.toml",), ["inner-mine", "inner-other"]),
    ],
)
def test_a_file_is_run_when_it_or_its_folder_is_named(
    pytester: pytest.Pytester, lab: Lab, words: tuple[str, ...], runs: list[str]
) -> None:
    pytester.runpytest_inprocess(*words).assert_outcomes(passed=len(runs))
    assert labels(lab) == runs


@pytest.mark.parametrize(("words", "told"), [(("tests",), True), (("tests/test_own.py",), False), ((), False)])
def test_what_lies_deeper_in_a_folder_that_was_named_is_told_and_not_run(
    pytester: pytest.Pytester, lab: Lab, words: tuple[str, ...], told: bool
) -> None:
    out = pytester.runpytest_inprocess(*words).stdout.str()
    assert ("proofload: a scenario file in deeper folders not run" in out) is told
    assert lab.asked == []


def test_typed_in_a_folder_below_the_root_everything_is_still_not_asked_for(
    pytester: pytest.Pytester, lab: Lab, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\n")
    monkeypatch.chdir(repository / "tests" / "deep")
    for words in ((), (".",), ("..",), ("../..",), (str(repository),)):
        pytester.runpytest_inprocess(*words)
    assert lab.asked == []


def test_with_the_flag_every_scenario_is_run(pytester: pytest.Pytester, lab: Lab) -> None:
    pytester.runpytest_inprocess("--proofload").assert_outcomes(passed=7)
    assert len(lab.asked) == 6


def test_a_test_is_called_by_scenario_and_target(pytester: pytest.Pytester) -> None:
    urls = ["--proofload-target=http://user:secret@127.0.0.1:9/score", "--proofload-target=targets/b.target.toml"]
    told = pytester.runpytest_inprocess("scenarios", "--collect-only", "-q", *urls).outlines
    assert told[:2] == [f"scenarios/steady.scenario.toml::steady[{name}]" for name in ("127.0.0.1:9", "b")]


def test_it_is_quick_unless_told_otherwise(pytester: pytest.Pytester, lab: Lab) -> None:
    pytester.runpytest_inprocess("scenarios")
    pytester.runpytest_inprocess("scenarios", "--proofload-full")
    assert [asked.quick for asked in lab.asked] == [True, True, False, False]


def test_a_scenario_without_a_quick_form_is_not_run_in_full_by_accident(
    pytester: pytest.Pytester, lab: Lab, repository: Path
) -> None:
    (repository / "long.scenario.toml").write_text(SCENARIO.partition("[quick]")[0], encoding="utf-8")
    told = pytester.runpytest_inprocess("long.scenario.toml")
    told.assert_outcomes(errors=1)
    told.stdout.fnmatch_lines(["*has no [[]quick[]] table*", "*--proofload-full*"])
    assert lab.asked == []
    pytester.runpytest_inprocess("long.scenario.toml", "--proofload-full").assert_outcomes(passed=2)


def test_a_mistake_in_a_scenario_is_an_error_of_collection(pytester: pytest.Pytester, repository: Path) -> None:
    (repository / "bad.scenario.toml").write_text(SCENARIO.replace("duration_s", "duration"), encoding="utf-8")
    told = pytester.runpytest_inprocess("bad.scenario.toml")
    told.assert_outcomes(errors=1)
    told.stdout.fnmatch_lines(["*unknown key `duration`*"])
    told.stdout.no_fnmatch_line("*Traceback*")


def test_the_options_reach_the_run(pytester: pytest.Pytester, lab: Lab, repository: Path) -> None:
    words = "--proofload-target=mine --proofload-set=rate_rps=7 --proofload-set=target.model=scorer"
    more = "--proofload-runtime=external --proofload-device=cuda --proofload-payloads=p.jsonl --proofload-out=there"
    pytester.runpytest_inprocess("scenarios", *words.split(), *more.split()).assert_outcomes(passed=1)
    (asked,) = lab.asked
    assert asked.folder == repository
    assert asked.typed() == (
        "proofload run scenarios/steady.scenario.toml --target mine "
        f"--payloads {repository / 'p.jsonl'} --runtime external --device cuda "
        "--set rate_rps=7 --set target.model=scorer --quick --out there/steady-mine"
    )


def test_no_two_runs_share_a_folder(pytester: pytest.Pytester, lab: Lab) -> None:
    pytester.makepyfile("def test_twice(proofload):\n    for _ in range(2): proofload.run('steady', target='mine')\n")
    pytester.runpytest_inprocess("test_no_two_runs_share_a_folder.py").assert_outcomes(passed=1)
    first, second = (asked.out for asked in lab.asked)
    assert (first.name, second.name) == ("steady-mine", "steady-mine-2")
    assert first.parent == second.parent
    assert first.parent.parent.name == "out"


# Verdicts.


def ended(pytester: pytest.Pytester, *words: str) -> tuple[pytest.RunResult, ET.Element]:
    """One scenario on one target: what pytest said, and the test's element in the JUnit file."""
    told = pytester.runpytest_inprocess("scenarios", "--proofload-target=mine", "--junitxml=j.xml", "-v", *words)
    (case,) = ET.parse(pytester.path / "j.xml").iter("testcase")
    return told, case


def properties(case: ET.Element) -> dict[str, str]:
    return {found.attrib["name"]: found.attrib["value"] for found in case.iter("property")}


def test_a_pass_passes(pytester: pytest.Pytester, lab: Lab) -> None:
    told, case = ended(pytester)
    assert told.ret == 0
    told.assert_outcomes(passed=1)
    told.stdout.fnmatch_lines(["*pass*steady[[]mine[]]*The answer is pass.*"])
    assert properties(case)["proofload.status"] == "pass"
    assert [element.tag for element in case] == ["properties"]


def test_a_failure_says_what_was_observed_its_interval_and_the_limit(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.status = Status.FAIL
    told, case = ended(pytester)
    assert told.ret == 1
    told.assert_outcomes(failed=1)
    told.stdout.fnmatch_lines(["*FAILURES*", "*observed 81.0 ms (77.2–86.4), limit 50 ms*", "*cause: cpu-throttling*"])
    seen = properties(case)
    assert (seen["proofload.status"], seen["proofload.codes"]) == ("fail", "cpu-throttling")
    assert "observed 81.0 ms (77.2–86.4), limit 50 ms" in seen["proofload.check.slo.p99_ms"]
    assert Path(seen["proofload.run_folder"]).name == "steady-mine"
    assert seen["proofload.command"].startswith("proofload run scenarios/steady.scenario.toml --target mine")
    assert case.find("failure") is not None


def test_inconclusive_is_an_outcome_of_its_own_and_no_success(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.status = Status.INCONCLUSIVE
    told, case = ended(pytester)
    assert told.ret == EXIT_INCONCLUSIVE
    told.assert_outcomes()
    told.stdout.fnmatch_lines(
        [
            "*steady[[]mine[]] INCONCLUSIVE*",
            "*= INCONCLUSIVE =*",
            "*observed 81.0 ms (44.0–120), limit 50 ms*",
            "*what would settle it: about 9,000 answers*",
            f"*no verdict, which is no pass: exit status {EXIT_INCONCLUSIVE}*",
            "*1 inconclusive*",
        ]
    )
    assert properties(case)["proofload.status"] == "inconclusive"
    skipped = case.find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"].startswith("inconclusive: ")


def test_inconclusive_can_be_made_a_failure(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.status = Status.INCONCLUSIVE
    told, case = ended(pytester, "--proofload-inconclusive=fail")
    assert told.ret == 1
    told.assert_outcomes(failed=1)
    told.stdout.fnmatch_lines(["*INCONCLUSIVE*", "*= FAILURES =*", "*(44.0–120), limit 50 ms*"])
    assert properties(case)["proofload.status"] == "inconclusive"
    assert case.find("failure") is not None


def test_inconclusive_can_be_allowed_and_still_is_told(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.status = Status.INCONCLUSIVE
    told, _ = ended(pytester, "--proofload-inconclusive=allow")
    assert told.ret == 0
    told.stdout.fnmatch_lines(["*came to no verdict, which is allowed here and is no pass*", "*1 inconclusive*"])


def test_a_failure_beside_an_inconclusive_run_decides_the_exit_status(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.status = Status.INCONCLUSIVE
    pytester.makepyfile(test_bad="def test_bad(): assert False")
    assert pytester.runpytest_inprocess("scenarios", "test_bad.py").ret == 1


@pytest.mark.parametrize("mode", ["report", "fail", "allow"])
def test_invalid_never_passes_and_says_what_to_do(pytester: pytest.Pytester, lab: Lab, mode: str) -> None:
    lab.status = Status.INVALID
    told, case = ended(pytester, f"--proofload-inconclusive={mode}")
    assert told.ret == 1
    told.stdout.fnmatch_lines(
        ["*steady[[]mine[]] INVALID*", "*= INVALID =*", "*send-lag: send lag p99 was 25 ms*", "*next: free a core*"]
    )
    told.stdout.fnmatch_lines(["*1 invalid*"])
    seen = properties(case)
    assert (seen["proofload.status"], seen["proofload.codes"]) == ("invalid", "send-lag")
    assert case.find("failure") is not None


def test_a_run_without_a_result_is_an_error_with_the_reason_alone(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.error = "error: there is no target named 'mine'\n  next: `proofload targets` lists the names"
    told, case = ended(pytester)
    assert told.ret == 1
    told.assert_outcomes(errors=1)
    told.stdout.fnmatch_lines(["*there is no target named 'mine'*", "*next: `proofload targets`*"])
    told.stdout.no_fnmatch_line("*Traceback*")
    assert properties(case)["proofload.status"] == "error"


@Statuses
def test_a_step_summary_tells_the_verdicts(
    pytester: pytest.Pytester, lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: Status
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("what another step wrote\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    lab.status = status
    ended(pytester)
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("what another step wrote\n")
    assert rf"{told(status)} | steady\[mine\] | The answer is {status}." in text
    assert "limit 50 ms" in text


def test_a_step_summary_tells_of_a_run_without_a_result(
    pytester: pytest.Pytester, lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    lab.error = "error: there is no target named 'mine'\n  next: look again"
    told, case = by_code(pytester, "pass"), ET.parse(pytester.path / "j.xml")
    told.stdout.fnmatch_lines(["no result *steady[[]mine[]] *there is no target named 'mine'"])
    assert properties(next(case.iter("testcase"))) == {"proofload.run": "steady[mine]", "proofload.status": "error"}
    text = read(tmp_path / "summary.md")
    assert "| no result | steady" in text
    assert "next: look again" in text


def test_a_step_summary_that_cannot_be_written_is_told_and_changes_no_verdict(
    pytester: pytest.Pytester, lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "missing" / "summary.md"))
    told, _ = ended(pytester)
    assert told.ret == 0
    told.stdout.fnmatch_lines(["*the step summary could not be written*"])


# From code.


def by_code(pytester: pytest.Pytester, assertion: str, *words: str) -> pytest.RunResult:
    pytester.makepyfile(test_code=BY_CODE.format(assertion=assertion))
    return pytester.runpytest_inprocess("test_code.py", "--junitxml=j.xml", *words)


def test_the_fixture_runs_what_it_is_told_and_gives_the_result(pytester: pytest.Pytester, lab: Lab) -> None:
    checked = "assert result.passed and result.status == 'pass' and result.check('p99_ms').observed == 20.0"
    by_code(pytester, f"{checked}; result.assert_pass()").assert_outcomes(passed=1)
    (asked,) = lab.asked
    assert (asked.scenario, asked.target, asked.quick) == ("steady", "mine", True)
    assert list(asked.settings) == ["slo.p99_ms=50", "rate_rps=30"]


def test_what_is_set_in_code_is_written_in_toml(pytester: pytest.Pytester, lab: Lab) -> None:
    pytester.makepyfile(
        test_code="""
def test_it(proofload, tmp_path):
    proofload.run(
        "scenarios/steady.scenario.toml", target="mine", quick=False, out=tmp_path / "run", device="cuda",
        arrival="constant", cost={"resources": {"vcpu hour": 2.5}}, settings={"target.request.headers": {"X": 'a"b'}},
    )
"""
    )
    pytester.runpytest_inprocess("test_code.py")
    (asked,) = lab.asked
    assert list(asked.settings) == [
        'arrival="constant"', 'cost={"resources" = {"vcpu hour" = 2.5}}', 'target.request.headers={"X" = "a\\"b"}',
    ]  # fmt: skip
    assert (asked.quick, asked.out.name, asked.others) == (False, "run", {"device": "cuda"})


def test_the_four_states_are_told_apart_by_assert_pass(pytester: pytest.Pytester, lab: Lab) -> None:
    ends = {Status.FAIL: (1, "*1 failed*"), Status.INVALID: (1, "*1 invalid*")}
    for status, (code, line) in {**ends, Status.INCONCLUSIVE: (EXIT_INCONCLUSIVE, "*1 inconclusive*")}.items():
        lab.status = status
        told = by_code(pytester, "result.assert_pass()")
        assert told.ret == code
        told.stdout.fnmatch_lines(["*limit 50 ms*"])
        told.stdout.fnmatch_lines([line])


@Statuses
@pytest.mark.parametrize("assertion", ["assert result.passed", "assert result.status == 'pass'"])
def test_an_assertion_of_ones_own_shows_what_was_measured(
    pytester: pytest.Pytester, lab: Lab, assertion: str, status: Status
) -> None:
    lab.status = status
    told = by_code(pytester, assertion)
    told.assert_outcomes(failed=1)
    told.stdout.fnmatch_lines([f"*steady[[]mine[]]: ? {status}*", "*observed 81.0 ms (*), limit 50 ms*"])
    (case,) = ET.parse(pytester.path / "j.xml").iter("testcase")
    assert properties(case)["proofload.status"] == str(status)


def test_a_plain_assertion_shows_it_in_its_own_line(pytester: pytest.Pytester, lab: Lab) -> None:
    lab.status = Status.FAIL
    told = by_code(pytester, "assert result.passed")
    told.stdout.fnmatch_lines(["E *steady[[]mine[]]: fail; *observed 81.0 ms (77.2–86.4), limit 50 ms*"])


def test_scenarios_are_found_from_wherever_pytest_or_a_test_has_gone(
    pytester: pytest.Pytester, lab: Lab, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\n")
    test = """
import pytest
@pytest.mark.parametrize("scenario", ["steady", "scenarios/steady.scenario.toml"])
def test_it(proofload, monkeypatch, tmp_path, scenario):
    monkeypatch.chdir(tmp_path)
    assert proofload.run(scenario, target="mine").passed
"""
    pytester.makepyfile(test_code=test)
    monkeypatch.chdir(repository / "tests")
    pytester.runpytest_inprocess("../test_code.py").assert_outcomes(passed=2)
    assert {asked.folder for asked in lab.asked} == {repository}


def test_a_run_in_a_fixture_of_ones_own_serves_several_tests(pytester: pytest.Pytester, lab: Lab) -> None:
    pytester.makepyfile(
        test_shared="""
import pytest
@pytest.fixture(scope="module")
def soaked(proofload):
    return proofload.run("steady", target="mine")
def test_one(soaked): assert soaked.passed
def test_two(soaked): assert soaked.check("slo.p99_ms")
"""
    )
    pytester.runpytest_inprocess("test_shared.py").assert_outcomes(passed=2)
    assert len(lab.asked) == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("proofload.run('stedy', target='mine')", "did you mean 'steady'"),
        ("proofload.run('steady')", "names 2 targets"),
        ("proofload.run('steady', target='mine', rate=3)", "unknown key `rate`"),
        ("proofload.run('steady', target='mine', seed=None)", "has no form in a scenario file"),
    ],
)
def test_a_mistake_in_code_fails_before_anything_is_run(
    pytester: pytest.Pytester, lab: Lab, call: str, said: str
) -> None:
    pytester.makepyfile(test_code=f"def test_it(proofload):\n    {call}\n")
    told = pytester.runpytest_inprocess("test_code.py")
    told.assert_outcomes(failed=1)
    told.stdout.fnmatch_lines([f"*{said}*"])
    assert lab.asked == []


# Beside others.


@pytest.mark.parametrize("words", [("scenarios",), ("root.scenario.toml",), ("--proofload",)])
def test_it_does_not_measure_in_several_processes_at_once(
    pytester: pytest.Pytester, lab: Lab, words: tuple[str, ...]
) -> None:
    told = pytester.runpytest_inprocess("--numprocesses=2", *words)
    assert told.ret == pytest.ExitCode.USAGE_ERROR
    told.stderr.fnmatch_lines([f"*{NOT_SHARED[:60]}*"])
    pytester.runpytest_inprocess("--numprocesses=2", "tests").assert_outcomes(passed=1)
    assert lab.asked == []
    assert pytester.runpytest_inprocess("--numprocesses=0", *words).ret == 0


def test_in_a_worker_scenarios_and_the_fixture_are_refused(
    pytester: pytest.Pytester, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    pytester.runpytest_inprocess("scenarios").assert_outcomes(errors=1)
    told = by_code(pytester, "pass")
    told.assert_outcomes(errors=1)
    told.stdout.fnmatch_lines([f"*{NOT_SHARED[:60]}*"])
    assert lab.asked == []


def test_a_suites_time_limit_is_not_one_of_a_scenario(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ntimeout = 1\n")
    found, _ = pytester.inline_genitems("scenarios")
    assert [item.get_closest_marker("timeout").args for item in found] == [(0,), (0,)]  # type: ignore[union-attr]


def test_importing_it_loads_pytest_and_nothing_heavy() -> None:
    program = "import sys; import proofload.pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "proofload.pytest_plugin" in loaded
    tops = {name.partition(".")[0] for name in loaded}
    assert not tops & {"numpy", "scipy", "pandas", "pyarrow", "pydantic", "docker", "typer", "rich", "httpx", "grpc"}
    assert {name for name in loaded if name.startswith("proofload")} == {"proofload", "proofload.pytest_plugin"}


PROBE = """
import sys
def pytest_unconfigure(config):
    plugins = [name for name, plugin in config.pluginmanager.list_name_plugin() if plugin and "proofload" in name]
    loaded = {name for name in sys.modules if name.startswith("proofload")} | {"numpy", "pydantic"} & set(sys.modules)
    print("loaded:", *sorted(loaded))
    print("plugins:", *plugins)
"""


def test_a_run_that_does_not_use_it_is_as_if_it_were_not_there(pytester: pytest.Pytester) -> None:
    """In a process of its own, by the entry point: the same lines with it as without it."""
    pytester.makeconftest(PROBE)
    pytester.makepyfile(test_code="def test_good(): pass\ndef test_bad(): assert 1 == 2\n")
    seen = []
    for words in ((), ("-p", "no:proofload")):
        told = pytester.runpytest_subprocess("--no-header", "-v", *words)
        told.assert_outcomes(passed=2, failed=1)
        seen.append(told)
    with_it, without = (
        [line for line in told.outlines if not line.startswith(("=", "loaded", "plugins"))] for told in seen
    )
    assert with_it == without
    light = "proofload proofload._in_pytest proofload._in_pytest.asked proofload.pytest_plugin"
    seen[0].stdout.fnmatch_lines([f"loaded: {light}", "plugins: proofload"])
    seen[1].stdout.fnmatch_lines(["loaded:", "plugins:"])


def test_it_stands_beside_the_plugin_of_locust(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which patches the standard library, and claims --host and two fixtures: so in a process of its own."""
    monkeypatch.delenv("PYTEST_ADDOPTS")
    pytester.makepyfile(
        test_code="""
import sys
def test_both(proofload, session):
    assert "locust" in sys.modules
    assert type(proofload).__module__ == "proofload._in_pytest.fixture"
"""
    )
    told = pytester.runpytest_subprocess("test_code.py", "--host=http://127.0.0.1:9")
    told.assert_outcomes(passed=1)


# For real.


STUB = f"""
name = "mine"
transport = "http"
url = "http://127.0.0.1:{{port}}/predict"
payloads = "p.jsonl"
[start]
command = ["{{python}}", "{stub_server.__file__}", "{{port}}"]
"""


def put_a_server(repository: Path, target: str = STUB) -> None:
    (repository / "mine.target.toml").write_text(target, encoding="utf-8")
    (repository / "p.jsonl").write_text('{"body": {"value": 3}, "expect": 6}\n', encoding="utf-8")


@pytest.mark.real
def test_a_scenario_is_measured_and_judged(pytester: pytest.Pytester, repository: Path) -> None:
    put_a_server(repository)
    words = ("--proofload-set=duration_s=2", "--proofload-set=rate_rps=20", "--proofload-set=slo.p99_ms=0.0001")
    told, case = ended(pytester, *words)
    assert told.ret == 1, told.stdout.str()
    seen = properties(case)
    assert seen["proofload.status"] in {"fail", "invalid"}
    assert seen["proofload.check.p99"].startswith("fail: ")
    folder = Path(seen["proofload.run_folder"])
    assert (folder / "report.html").is_file()
    assert folder.is_relative_to(repository / "out")


@pytest.mark.real
def test_a_target_that_cannot_be_started_is_an_error_that_says_why(pytester: pytest.Pytester, repository: Path) -> None:
    broken = "[start]\ncommand = ['{python}', '-c', 'raise SystemExit(\"no weights here\")']\n"
    put_a_server(repository, STUB.partition("[start]")[0] + broken)
    told, case = ended(pytester)
    told.assert_outcomes(errors=1)
    told.stdout.fnmatch_lines(["*no weights here*"])
    assert properties(case)["proofload.status"] == "error"


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_pytest_ends_the_run_ends_with_it_and_is_recorded(repository: Path, number: signal.Signals) -> None:
    put_a_server(repository)
    words = "scenarios --proofload-target=mine --proofload-set=duration_s=90 --proofload-set=rate_rps=20"
    started = [sys.executable, "-m", "pytest", *words.split(), "--proofload-out=runs"]
    folder = repository / "runs" / "steady-mine"
    with subprocess.Popen(started, cwd=repository, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as running:
        await_that(lambda: '"phase"' in read(folder / "events.jsonl"))
        running.send_signal(number)
        running.wait()
    await_that((folder / "report.html").is_file)
    result = json.loads(read(folder / "result.json"))
    assert result["status"] == "invalid"
    assert "interrupted" in [item["code"] for item in result["validity"] if not item["ok"]]
    await_that(lambda: not at_work_in(repository))


def at_work_in(repository: Path) -> list[psutil.Process]:
    """Processes whose working directory is the repository: the lab and its servers."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(repository):
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def await_that(holds: Callable[[], bool]) -> None:
    """Waits, as long as the suite's time limit allows."""
    while not holds():
        time.sleep(0.05)
