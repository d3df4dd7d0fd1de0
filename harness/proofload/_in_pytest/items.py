"""A scenario file is a collector; the scenario on one of its targets is a test, called like soak[fastapi]."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proofload._in_pytest.asked import NOT_SHARED, is_a_worker
from proofload._in_pytest.measured import NotPassed
from proofload._in_pytest.runs import Plan, Runs, labelled
from proofload.errors import ProofloadError
from proofload.run_process import RunError


class ScenarioFile(pytest.File):
    """One *.scenario.toml; a mistake in it is an error of collection."""

    def collect(self) -> Iterator[ScenarioItem]:
        if is_a_worker(self.config):
            raise self.CollectError(NOT_SHARED)
        runs = Runs.of(self.config)
        asked = runs.asked
        try:
            plan = runs.plan(str(self.path), quick=not asked.full, targets=asked.targets, settings=asked.settings)
        except ProofloadError as error:
            hint = "" if asked.full or "--quick" not in str(error) else "\npytest asks for it unless --proofload-full"
            raise self.CollectError(f"{error}{hint}") from error
        seen: dict[str, int] = {}
        for target in plan.targets or (None,):
            name = labelled(plan.name, target)
            seen[name] = seen.get(name, 0) + 1
            unique = name if seen[name] == 1 else f"{name}-{seen[name]}"
            yield ScenarioItem.from_parent(self, name=unique, plan=plan, target=target)


class ScenarioItem(pytest.Item):
    """One scenario on one target."""

    def __init__(self, *, plan: Plan, target: str | None, **others: Any) -> None:
        super().__init__(**others)
        self.plan = plan
        self.target = target
        if self.config.pluginmanager.hasplugin("timeout"):
            self.add_marker(pytest.mark.timeout(0))  # a run ends by its own plan; a suite's limit is for other tests

    def runtest(self) -> None:
        runs = Runs.of(self.config)
        run = runs.measure(
            _shortest(self.path, runs.asked.base),
            self.plan,
            self.target,
            quick=not runs.asked.full,
            settings=runs.asked.settings,
            others=runs.flags(),
        )
        run.assert_pass()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What was measured, or what was wrong: where in proofload it was raised helps nobody."""
        if isinstance(excinfo.value, NotPassed | RunError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        return self.path, None, self.name


def _shortest(path: Path, base: Path) -> str:
    """As a person would type it in `base`."""
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)
