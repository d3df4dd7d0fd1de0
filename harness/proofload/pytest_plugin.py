"""proofload inside pytest: scenario files as tests, and the fixture `proofload` for those who prefer code.

This module is loaded by every pytest run of an environment that proofload is installed in. It imports nothing but
pytest, adds options that begin with --proofload, and does nothing until a scenario file is asked for or the fixture is
used; the rest is in `proofload/_in_pytest/`.

A scenario file is asked for by naming it, by naming the folder that holds it, or by --proofload. The folder where
pytest was typed, the repository's root and what is above them do not count as named: `pytest` and `pytest .` start no
run.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from proofload._in_pytest.fixture import Proofload
    from proofload._in_pytest.items import ScenarioFile

SUFFIX = ".scenario.toml"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("proofload", "proofload: scenario files as tests")
    group.addoption("--proofload", action="store_true", help="collect every *.scenario.toml that pytest comes by")
    group.addoption("--proofload-full", action="store_true", help="run scenarios in full length, not in quick form")
    group.addoption(
        "--proofload-target",
        action="append",
        default=[],
        metavar="NAME|FILE|URL",
        help="what to test, in place of the scenario's targets; may be repeated",
    )
    group.addoption(
        "--proofload-set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the scenarios, or of the targets: target.KEY; may be repeated",
    )
    group.addoption("--proofload-payloads", metavar="FILE", help="requests to send, one JSON object a line")
    group.addoption("--proofload-runtime", metavar="NAME", help="where targets live: process, container or external")
    group.addoption("--proofload-device", choices=["cpu", "cuda", "tensorrt"], help="what started targets compute on")
    group.addoption("--proofload-out", metavar="DIR", help="where run folders are made (absent: a new folder in out/)")
    group.addoption(
        "--proofload-inconclusive",
        choices=["report", "fail", "allow"],
        default="report",
        help="what a run without a verdict is: an outcome of its own that makes pytest end with status 13 where "
        "nothing failed (report, the default), a failure (fail), or an outcome of its own that changes no exit "
        "status (allow)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if getattr(config.option, "tx", None) or getattr(config.option, "numprocesses", None):
        from proofload._in_pytest.asked import refuse_to_share

        refuse_to_share(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    if not file_path.name.endswith(SUFFIX):
        return None
    from proofload._in_pytest.asked import is_asked_for

    if not is_asked_for(parent.config, file_path):
        return None
    from proofload._in_pytest.items import ScenarioFile

    file: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
    return file


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    if "proofload._in_pytest.asked" not in sys.modules:
        return None
    from proofload._in_pytest.asked import passed_over

    return passed_over(config)


@pytest.fixture(scope="session")
def proofload(pytestconfig: pytest.Config) -> Proofload:
    """`proofload.run("peak-10x", target=…, slo={"p99_ms": 50})`: the run's result, to make assertions about.

    `result.assert_pass()` tells fail, inconclusive and invalid apart; `assert result.passed` does not.
    """
    from proofload._in_pytest.fixture import Proofload

    return Proofload(pytestconfig)
