"""The plan of every night: targets × scenarios × devices, less what is left out; in an order drawn anew each night."""

from __future__ import annotations

import difflib
import random
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from proofload.discovery import module_for
from proofload.errors import InputError
from proofload.overrides import Overrides, flattened, parsed, written
from proofload.scenarios import Scenario, load_scenario
from proofload.targets import load_target
from proofload.toml_input import Table, read_toml, validated

PLAN_FILE = "nightly.toml"
_UNFIT = re.compile(r"[^A-Za-z0-9._+-]+")
Names = Annotated[tuple[str, ...], Field(strict=False)]
Device = Literal["cpu", "cuda", "tensorrt"]


class LeaveOut(Table):
    """[[leave_out]]: cells that are not run; a key that is absent stands for all."""

    scenario: str | None = None
    target: str | None = None
    device: Device | None = None

    def covers(self, cell: Cell) -> bool:
        asked = ((self.scenario, cell.scenario_name), (self.target, cell.target_name), (self.device, cell.device))
        return all(wanted in {None, value} for wanted, value in asked)


class Plan(Table):
    """A plan file. Names of targets and scenarios are those of `proofload run`; files are relative to the plan's."""

    scenarios: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    targets: Names = ()
    """Absent: each scenario's own."""
    devices: Annotated[tuple[Device, ...], Field(strict=False, min_length=1)] = ("cpu",)
    quick: bool = False
    runtime: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    """As --set, for every run; of a table, each of its keys."""
    keep_nights: Annotated[int, Field(ge=1)] = 14
    """Nights whose run folders are kept whole; see retention.py."""
    leave_out: Annotated[tuple[LeaveOut, ...], Field(strict=False)] = ()

    def settings(self) -> list[str]:
        """[set] as `proofload run` is told it. Raises InputError for what it cannot be told."""
        return written(dict(flattened(self.set)))


@dataclass(frozen=True, slots=True)
class Cell:
    """One square of the matrix. `scenario` and `target` are what `proofload run` is given; the others are what they are
    called. Targets are empty where the scenario does without."""

    scenario: str
    target: str
    device: str
    scenario_name: str
    target_name: str

    @property
    def name(self) -> str:
        """As a folder is called."""
        said = ".".join(filter(None, (self.scenario_name, self.target_name, self.device)))
        return _UNFIT.sub("-", said).strip("-.") or "cell"


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with the file it was read from."""

    plan: Plan
    path: Path

    def cells(self) -> list[Cell]:
        """The matrix, row by row. Raises InputError for what does not exist, before anything runs."""
        if self.plan.runtime is not None:
            module_for("runtime", self.plan.runtime)
        changes = parsed(self.plan.settings())
        every = [cell for scenario in self.plan.scenarios for cell in self._cells_of(scenario, changes)]
        self._refuse_slips(every)
        found: dict[str, Cell] = {}
        for cell in every:
            if any(one.covers(cell) for one in self.plan.leave_out):
                continue
            if found.setdefault(cell.name, cell) != cell:
                raise InputError(f"two cells of {self.path} are called {cell.name}",
                                 remedy="give one of the files another `name`")  # fmt: skip
        if not found:
            raise InputError(f"{self.path} leaves nothing to run", remedy="take something out of [[leave_out]]")
        return list(found.values())

    def _cells_of(self, named: str, changes: Overrides) -> Iterator[Cell]:
        what = self._file(named)
        scenario = load_scenario(what, quick=self.plan.quick, overrides=changes.scenario)
        if scenario.canary_name is not None:
            load_target(scenario.canary_name)
        targets = self._targets(scenario)
        if scenario.needs_target and not targets:
            raise InputError(f"the scenario {scenario.name} names no target, and neither does {self.path}",
                             remedy='add targets = ["…"] to the plan')  # fmt: skip
        for target in targets or [""]:
            called = load_target(target, overrides=changes.target).name if target else ""
            for device in self.plan.devices:
                yield Cell(what, target, device, scenario.name, called)

    def _targets(self, scenario: Scenario) -> list[str]:
        if not scenario.needs_target:
            return []
        return [self._file(name) for name in self.plan.targets] or scenario.target_names()

    def _refuse_slips(self, every: Sequence[Cell]) -> None:
        """Names in [[leave_out]] that no cell has: what was to be left out would be run."""
        known = {"scenario": {cell.scenario_name for cell in every}, "target": {cell.target_name for cell in every}}
        for one in self.plan.leave_out:
            for key, names in known.items():
                name = getattr(one, key)
                if name is not None and name not in names:
                    near = difflib.get_close_matches(name, names, n=1)
                    raise InputError(
                        f"{self.path}: [[leave_out]] names a {key} that the plan does not have: {name!r}",
                        evidence=f"it has: {', '.join(sorted(names))}",
                        remedy=f"did you mean {near[0]!r}?" if near else "correct the name, or take the entry out",
                    )

    def _file(self, name: str) -> str:
        """Files stand beside the plan."""
        return str((self.path.parent / name).absolute()) if name.endswith(".toml") else name


def read_plan(path: Path | None) -> Planned:
    """Raises InputError."""
    found = path or Path(PLAN_FILE)
    if path is None and not found.is_file():
        raise InputError(
            f"there is no {PLAN_FILE} here",
            evidence=f"looked in {Path.cwd()}",
            remedy="name a plan with --plan FILE, or let `proofload init --nightly` write one",
        )
    return Planned(validated(Plan, read_toml(found), str(found)), found.absolute())


def in_order(cells: Sequence[Cell], night: str) -> list[Cell]:
    """The order of one night: by lot, the same whenever the same night is asked for.

    Rounds in which each target comes once, so that no target has the quiet hours for itself, and none follows itself
    as long as others are left.
    """
    lot = random.Random(f"proofload {night}")  # noqa: S311  an order, not a secret
    waiting: dict[str, deque[Cell]] = {}
    for cell in lot.sample(list(cells), len(cells)):
        waiting.setdefault(cell.target, deque()).append(cell)
    order: list[Cell] = []
    while waiting:
        turn = lot.sample(sorted(waiting), len(waiting))
        if order and len(turn) > 1 and turn[0] == order[-1].target:
            turn.append(turn.pop(0))
        for target in turn:
            order.append(waiting[target].popleft())
            if not waiting[target]:
                del waiting[target]
    return order
