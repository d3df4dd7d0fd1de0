"""The runs of this pytest session: planned, made one after the other, kept for those who tell of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from proofload import run_process
from proofload._in_pytest.asked import Asked
from proofload._in_pytest.measured import Measured
from proofload.overrides import parsed
from proofload.resources import Layout
from proofload.scenarios import load_scenario

_KEY: pytest.StashKey[Runs] = pytest.StashKey()


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario as it will be run."""

    name: str
    targets: tuple[str, ...]
    """Names, files or URLs; empty where the scenario does without one."""


class Runs:
    """What was asked, and what has been measured so far."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.done: list[Measured] = []
        self.pending: list[Measured] = []
        """Those that no test report tells of yet."""
        self.broken: list[tuple[str, str]] = []
        """Runs without a result: what was run, and why there is none."""
        self._folder: Path | None = None
        self._used: set[str] = set()

    @staticmethod
    def of(config: pytest.Config) -> Runs:
        """This session's; with the first use, pytest is told how to tell of them."""
        if _KEY not in config.stash:
            from proofload._in_pytest.telling import Telling

            runs = config.stash[_KEY] = Runs(Asked.of(config))
            config.pluginmanager.register(Telling(runs), "proofload-telling")
        return config.stash[_KEY]

    def plan(
        self,
        scenario: str,
        *,
        quick: bool,
        targets: Sequence[str] = (),
        settings: Sequence[str] = (),
        others: Mapping[str, str] | None = None,
    ) -> Plan:
        """Raises InputError for a scenario or setting that is wrong."""
        changes: dict[str, Any] = {**parsed(settings).scenario}
        changes |= {key: value for key, value in (others or {}).items() if key in {"reference", "serving", "key"}}
        with warnings.catch_warnings():  # a library's warning is no error in a scenario
            warnings.simplefilter("ignore")
            layout = replace(Layout.here(), working=self.asked.base)
            found = load_scenario(self._file(scenario), quick=quick, overrides=changes, layout=layout)
            return Plan(found.name, tuple(targets) or (tuple(found.target_names()) if found.needs_target else ()))

    def measure(
        self,
        scenario: str,
        plan: Plan,
        target: str | None,
        *,
        quick: bool,
        out: Path | None = None,
        settings: Sequence[str] = (),
        others: Mapping[str, str] | None = None,
    ) -> Measured:
        """Run it now. Raises RunError where there is no result."""
        label = labelled(plan.name, target)
        asked = run_process.Command(
            folder=self.asked.base,
            scenario=scenario,
            out=self._place(label) if out is None else out,
            quick=quick,
            target=target,
            settings=settings,
            others=others or {},
        )
        try:
            run = Measured(run_process.measured(asked), asked.out, asked.typed(), label)
        except run_process.RunError as error:
            self.broken.append((label, str(error)))
            raise
        self.done.append(run)
        self.pending.append(run)
        return run

    def flags(self) -> dict[str, str]:
        """The options that are passed on as they are."""
        asked = self.asked
        named = {"payloads": asked.payloads, "runtime": asked.runtime, "device": asked.device}
        return {name: value for name, value in named.items() if value is not None}

    def _file(self, scenario: str) -> str:
        """Files are found from where runs take place, wherever pytest or a test has gone since."""
        return str(self.asked.base / scenario) if (self.asked.base / scenario).is_file() else scenario

    def _place(self, label: str) -> Path:
        """A run folder's path: in --proofload-out, else in one folder of this session."""
        if self._folder is None:
            now = datetime.now(UTC).astimezone().strftime("%Y%m%d-%H%M%S")
            self._folder = self.asked.out or _unused(self.asked.base / "out" / f"pytest-{now}")
        name = re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-.") or "run"
        free = next(one for one in (name, *(f"{name}-{n}" for n in range(2, 10_000))) if one not in self._used)
        self._used.add(free)
        return self._folder / free


def labelled(scenario: str, target: str | None) -> str:
    """ "soak[fastapi]": a file stands by its name, a URL by its host."""
    if target is None:
        return scenario
    if "://" in target:
        return f"{scenario}[{urlsplit(target).netloc.rpartition('@')[2] or 'url'}]"
    path = Path(target)
    if path.name == "target.toml":
        return f"{scenario}[{path.parent.name}]"
    return f"{scenario}[{path.name.partition('.')[0] if path.suffix == '.toml' else path.name}]"


def _unused(folder: Path) -> Path:
    found, number = folder, 1
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}-{number}")
    return found
