"""From the command line to what is to be compared: options, situations, settings.

A key of `--set` goes to every scenario that has it; `SCENARIO.KEY` to that one alone; `target.KEY` to every target,
`target2.KEY` to the second one named; `compare.KEY` to the comparison itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from proofload.comparing.settings import QUICK, Comparing
from proofload.errors import InputError
from proofload.overrides import parsed, settled
from proofload.report.text import printable
from proofload.scenarios import Scenario, load_scenario
from proofload.target_model import Target
from proofload.targets import load_target
from proofload.toml_input import read_toml
from proofload.workloads.payloads import load_payloads, no_payloads

DEFAULT = ("load",)
PAIRED = "load"
"""The procedure whose lifetimes are short and alike, so that many of them can be made in pairs."""
PRICED = "capacity"
_ONE_TARGET = re.compile(r"target([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Situation:
    """A scenario that every option is put into: in pairs of lifetimes, or once."""

    scenario: Scenario
    targets: tuple[Target, ...]
    """As this scenario wants them, in the order of the options."""
    canary: Target | None = None
    asked_for: bool = True
    """False: a requirement cannot be judged without it."""

    @property
    def paired(self) -> bool:
        return self.scenario.procedure == PAIRED

    def onto_itself(self, option: int) -> bool:
        """Whether what is rolled out is the option again, for want of another version."""
        return hasattr(self.scenario, "canary") and self.canary in (None, self.targets[option])


@dataclass(frozen=True, slots=True)
class Asked:
    """A comparison before anything is measured. The first option is the baseline."""

    labels: tuple[str, ...]
    situations: tuple[Situation, ...]
    settings: Comparing
    device: str | None
    runtime: str
    quick: bool
    payloads: tuple[str, ...]
    """SHA-256 of each payload file, in the order of their paths; those of our fixtures are this version's."""

    @property
    def digest(self) -> str:
        """Of everything that a lifetime depends on: a comparison goes on only as what it was begun as."""
        parts = [
            [self.labels, self.settings.model_dump(mode="json"), self.device, self.runtime, self.payloads],
            *(
                [
                    one.scenario.model_dump(mode="json"),
                    [target.model_dump(mode="json") for target in (*one.targets, one.canary) if target is not None],
                ]
                for one in self.situations
            ),
        ]
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Changes:
    """`--set`, sorted by whom it reaches."""

    comparing: dict[str, Any] = field(default_factory=dict)
    common: dict[str, Any] = field(default_factory=dict)
    of_scenario: dict[str, dict[str, Any]] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)
    of_target: dict[int, dict[str, Any]] = field(default_factory=dict)


def understood(
    targets: Sequence[str],
    scenarios: Sequence[str] = (),
    *,
    settings: Sequence[str] = (),
    payloads: Path | None = None,
    pairs: int | None = None,
    quick: bool = False,
    device: str | None = None,
    runtime: str | None = None,
) -> Asked:
    """What the command line asks for. Raises InputError for what cannot be, before anything is started."""
    if len(targets) < 2:
        raise InputError(
            "a comparison needs at least two targets",
            evidence=f"named: {', '.join(targets) or 'none'}",
            remedy="name each with --target; the first is what the others are compared with",
        )
    named = list(dict.fromkeys(scenarios or DEFAULT))
    plain = {what: load_scenario(what) for what in named}
    changes = _sorted(settings, {scenario.name for scenario in plain.values()}, len(targets))
    if pairs is not None:
        changes.comparing["pairs"] = pairs
    comparing = settled(Comparing, QUICK if quick else {}, changes.comparing, source="--quick", flag="--set compare.")
    if _wants_a_price(comparing, changes) and not any(one.procedure == PRICED for one in plain.values()):
        plain[PRICED] = load_scenario(PRICED)
    _refuse_unknown(changes, plain)
    situations = []
    for what, scenario in plain.items():
        final = _scenario(what, scenario, changes, comparing, quick=quick)
        if not final.needs_target:
            raise InputError(
                f"the scenario {final.name} compares files, not targets", remedy=f"use `proofload run {what}`"
            )
        situations.append(_situation(final, targets, payloads, changes, asked_for=what in named))
    _refuse_shared_names([(one.scenario.name, what) for one, what in zip(situations, plain, strict=True)])
    return Asked(
        labels=_labels([one.name for one in situations[0].targets]),
        situations=tuple(situations),
        settings=comparing,
        device=device,
        runtime=runtime or "auto",
        quick=quick,
        payloads=tuple(_payload_digests(situations)),
    )


def _payload_digests(situations: Sequence[Situation]) -> Iterator[str]:
    """Raises InputError for a file that cannot be sent: better now than after an hour."""
    targets = [target for one in situations for target in one.targets if "{" not in str(target.payloads)]
    for path in sorted({path for one in targets if (path := one.payloads_path) is not None}):
        load_payloads(path)
        with path.open("rb") as content:
            yield hashlib.file_digest(content, "sha256").hexdigest()


def _sorted(settings: Sequence[str], scenarios: set[str], targets: int) -> _Changes:
    given = parsed(settings)
    found = _Changes(target=given.target)
    for key, value in given.scenario.items():
        head, dot, rest = key.partition(".")
        one = _ONE_TARGET.fullmatch(head)
        if one and dot:
            if int(one[1]) > targets:
                raise InputError(
                    f"--set {key}: there are {targets} targets", remedy=f"use target1. to target{targets}."
                )
            found.of_target.setdefault(int(one[1]) - 1, {})[rest] = value
        elif head == "compare" and dot:
            found.comparing[rest] = value
        elif head in scenarios and dot:
            found.of_scenario.setdefault(head, {})[rest] = value
        else:
            found.common[key] = value
    return found


def _wants_a_price(comparing: Comparing, changes: _Changes) -> bool:
    """Whether a requirement cannot be judged without knowing how much one instance can do."""
    asks = {"cost.peak_rps", f"{PRICED}.cost.peak_rps"}
    return bool(comparing.budget_per_month or comparing.budget_per_million or asks & set(changes.common))


def _knows(scenario: Scenario, key: str) -> bool:
    return key.partition(".")[0] in type(scenario).model_fields


def _refuse_unknown(changes: _Changes, scenarios: Mapping[str, Scenario]) -> None:
    for key, value in changes.common.items():
        if not any(_knows(scenario, key) for scenario in scenarios.values()):
            load_scenario(next(iter(scenarios)), overrides={key: value})  # raises, and names the nearest key
            raise InputError(
                f"--set {key}: no scenario of this comparison has that key",
                evidence=f"its scenarios: {', '.join(scenarios)}",
                remedy="name a key of one of them, or one of another scenario as SCENARIO.KEY=VALUE",
            )


def _refuse_shared_names(named: Sequence[tuple[str, str]]) -> None:
    """(name, what named it) of each scenario."""
    for place, (name, what) in enumerate(named):
        other = next((earlier for one, earlier in named[:place] if one == name), None)
        if other is not None:
            raise InputError(
                f"two scenarios of this comparison have the name {name}",
                evidence=f"--scenario {other} and --scenario {what}",
                cause="run folders and the lines of the page are told apart by it",
                remedy=f'leave one out, or write another name at the top of its file: name = "{name}-2"',
            )


def _scenario(what: str, plain: Scenario, changes: _Changes, comparing: Comparing, *, quick: bool) -> Scenario:
    """The scenario as it is run: a lifetime among many is as long as the comparison says."""
    common = {key: value for key, value in changes.common.items() if _knows(plain, key)}
    own = {**common, **changes.of_scenario.get(plain.name, {})}
    if plain.procedure != PAIRED:
        return load_scenario(what, quick=quick, overrides=own)
    has_quick = plain.source is not None and "quick" in read_toml(plain.source)
    short = {"duration_s": comparing.lifetime_s, "warmup_s": comparing.warmup_s}
    return load_scenario(what, quick=quick and has_quick, overrides={**short, **own})


def _situation(
    scenario: Scenario, names: Sequence[str], payloads: Path | None, changes: _Changes, *, asked_for: bool
) -> Situation:
    pool = payloads or scenario.payloads_path
    requests = None if pool is None else str(pool)
    chosen = []
    for place, name in enumerate(names):
        own = {**changes.target, **changes.of_target.get(place, {})}
        target = load_target(name, payloads=requests, overrides=own)
        if scenario.model is not None and "model" not in own and target.uses("fixtures"):
            target = target.model_copy(update={"model": scenario.model})
        if target.payloads_path is None:
            raise no_payloads(target.name)
        chosen.append(target)
    second = None if scenario.canary_name is None else load_target(scenario.canary_name, payloads=requests)
    return Situation(scenario, tuple(chosen), second, asked_for)


def _labels(names: Sequence[str]) -> tuple[str, ...]:
    """Targets of one name are numbered: "flask", "flask (2)". Long ones are cut, as in the report of a run."""
    names = [printable(name, 40) for name in names]
    return tuple(
        name if names[:place].count(name) == 0 else f"{name} ({names[:place].count(name) + 1})"
        for place, name in enumerate(names)
    )
