"""Scenario files: a procedure with its numbers filled in.

Each procedure derives its `Settings` from `Scenario` and adds the keys that it alone understands.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from proofload import discovery
from proofload.errors import InputError, ProofloadError
from proofload.overrides import settled
from proofload.resources import Layout, Listed, first_comment
from proofload.toml_input import Table, read_toml, validated

Positive = Annotated[float, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=10_000_000)]
"""Up to four months: beyond it, a slip of the keyboard."""
Patience = Annotated[float, Field(gt=0, le=3600)]
Rate = Annotated[float, Field(gt=0, le=1_000_000)]
Share = Annotated[float, Field(gt=0, le=1)]
Alpha = Annotated[float, Field(gt=0, lt=0.5)]
EMPTY: Mapping[str, Any] = {}


class Slo(Table):
    """[slo]: upper limits of latency percentiles, and the least share of `ok` among all planned requests."""

    p50_ms: Positive | None = None
    p90_ms: Positive | None = None
    p95_ms: Positive | None = None
    p99_ms: Positive | None = None
    p99_9_ms: Positive | None = None
    deadline_ms: Positive | None = None
    """A correct answer after it is late; None: the timeout."""
    ok_share: Share = 0.999

    def limits(self) -> dict[str, float]:
        """The percentile limits that are set: {"p99": 50.0}."""
        found = {name: getattr(self, f"{name}_ms") for name in ("p50", "p90", "p95", "p99", "p99_9")}
        return {name: limit for name, limit in found.items() if limit is not None}


class CostTable(Table):
    """[cost]: what the target occupies, in units of the price table, and how it would be run."""

    resources: dict[str, Positive] | Literal["auto"] = "auto"
    """For example {"vcpu-hour" = 2}; "auto": the cores and accelerator it was given."""
    utilisation: Share = 0.8
    peak_rps: Positive | None = None
    spare: Annotated[int, Field(ge=0)] = 0
    """Whole replicas kept beside those the peak needs."""


class RetryTable(Table):
    """[retry]: clients that try again. Absent: they do not."""

    attempts: Annotated[int, Field(ge=2, le=20)] = 3
    """Tries in all, the first included; `timeout_s` bounds them together."""
    attempt_timeout_s: Patience | None = None
    """When one try is given up; None: only with the whole request."""
    backoff_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    """Pause before the second try, doubled before each later one; drawn between half of it and all of it."""


class Scenario(Table):
    """The keys that every procedure has. Rates in requests per second, times in seconds."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """Nightly calls folders by it, together with the target's."""
    description: str = ""
    procedure: Annotated[str, Field(min_length=1)]
    targets: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names, or files relative to the scenario's; used when the command line names none."""
    arrival: Annotated[str, Field(min_length=1)] = "poisson"
    rate_rps: Rate = 100.0
    base_rate_rps: Positive | None = None
    duration_s: Seconds = 30.0
    warmup_s: Annotated[float, Field(ge=0, le=10_000_000)] | Literal["auto"] = "auto"
    timeout_s: Patience = 5.0
    """When the client gives up, counted from the instant the request was due."""
    connections: Annotated[int, Field(gt=0, le=60_000)] = 256
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    workers: Annotated[int, Field(gt=0, le=64)] = 1
    """Engine processes."""
    device: Literal["cpu", "cuda", "tensorrt"] | None = None
    """None: the command line's, else cpu."""
    model: str | None = None
    """What targets that serve one of our fixtures are to serve; None, or `--set target.model`: their own choice."""
    payloads: str | None = None
    """A payload file in place of the target's, relative to the scenario file."""
    slo: Slo = Field(default_factory=Slo)
    retry: RetryTable | None = None
    shape: dict[str, Any] = Field(default_factory=dict)
    """What the arrival process alone understands."""
    cost: CostTable = Field(default_factory=CostTable)
    alpha_fail: Alpha = 0.001
    """Chance of a false alarm of the whole scenario, at most."""
    alpha_pass: Alpha = 0.01
    """Chance of passing something worse than a limit, at most."""
    source: Annotated[Path | None, Field(strict=False, exclude=True)] = None
    """The file it was read from (no key of the file)."""
    is_quick: Annotated[bool, Field(exclude=True)] = False

    @model_validator(mode="after")
    def _deadline_within_timeout(self) -> Scenario:
        deadline_ms = self.slo.deadline_ms
        if deadline_ms is not None and deadline_ms > self.timeout_s * 1000:
            raise ValueError(
                f"slo.deadline_ms ({deadline_ms:.10g}) at most timeout_s ({self.timeout_s:g} s): "
                "the client gives up before an answer could be late"
            )
        return self

    @property
    def folder(self) -> Path:
        """What relative paths are relative to."""
        return self.source.parent if self.source is not None else Path.cwd()

    @property
    def payloads_path(self) -> Path | None:
        return None if self.payloads is None else (self.folder / self.payloads).absolute()

    @property
    def needs_target(self) -> bool:
        """False where files alone are judged."""
        return True

    @property
    def canary_name(self) -> str | None:
        """The second version: a target's name, or a file (relative to the scenario's) made absolute."""
        name: str | None = getattr(self, "canary", None)
        return str((self.folder / name).absolute()) if name is not None and name.endswith(".toml") else name

    @property
    def forcing_header(self) -> tuple[str, str]:
        """The header (name, value) by which a payload is sent to the canary whatever its share; empty: none."""
        return ("", "")

    @property
    def deadline_s(self) -> float:
        """After this an answer is late."""
        return self.timeout_s if self.slo.deadline_ms is None else self.slo.deadline_ms / 1000

    def target_names(self) -> list[str]:
        """`targets`, with files made absolute."""
        return [str((self.folder / name).absolute()) if name.endswith(".toml") else name for name in self.targets]


def load_scenario(
    what: str, *, quick: bool = False, overrides: Mapping[str, Any] = EMPTY, layout: Layout | None = None
) -> Scenario:
    """The scenario that `what` names (a known name or a `*.scenario.toml` file), as its procedure's Settings.

    `quick` puts the file's [quick] in place first, `overrides` (dotted keys) after it. Raises InputError.
    """
    path = _file_named(what, layout or Layout.here())
    tables = {"name": _default_name(path), **read_toml(path)}
    replacing = tables.pop("quick", {})
    if not isinstance(replacing, dict):
        raise InputError(f"{path}: `quick` is not a table", remedy="write [quick] on a line of its own, then its keys")
    if quick and not replacing:
        raise InputError(
            f"{path} has no [quick] table, so --quick would change nothing",
            remedy="leave --quick out, or add [quick] with shorter times",
        )
    _refuse_own_fields({**tables, **replacing, **overrides}, path)
    settings = _settings_of(overrides.get("procedure", tables.get("procedure")), path)
    shortened = _merged(tables, replacing)
    validated(settings, tables, str(path))
    validated(settings, shortened, f"{path} [quick]")  # checked even when it is not used
    changes = _with_absolute_paths(overrides)
    scenario = settled(settings, shortened if quick else tables, changes, source=str(path))
    shape = {**scenario.shape}
    if isinstance(shape.get("file"), str):
        shape["file"] = str((path.parent / shape["file"]).absolute())
    scenario = scenario.model_copy(update={"source": path, "is_quick": quick, "shape": shape})
    _check_arrival(scenario)
    return scenario


def known_scenarios(layout: Layout | None = None) -> Iterator[Listed]:
    """Every scenario that has a name, each once, the file that wins; broken files with what is wrong."""
    layout = layout or Layout.here()
    seen: set[str] = set()
    for path in layout.scenario_files():
        name = _default_name(path)
        if name in seen:
            continue
        seen.add(name)
        try:
            scenario = load_scenario(str(path), layout=layout)
            yield Listed(name, scenario.description or first_comment(path), path)
        except ProofloadError as exc:
            yield Listed(name, "", path, problem=exc.what)


def _settings_of(procedure: object, path: Path) -> type[Scenario]:
    if not isinstance(procedure, str):
        known = ", ".join(sorted(discovery.implementations("procedure")))
        raise InputError(f"{path} names no procedure", remedy=f'write procedure = "…" at its top; known: {known}')
    settings = getattr(discovery.module_for("procedure", procedure), "Settings", Scenario)
    assert issubclass(settings, Scenario)
    return settings


def _check_arrival(scenario: Scenario) -> None:
    """Raises InputError for an arrival process or shape that cannot be followed, before anything is started."""
    from proofload.workloads.arrivals import ArrivalSpec

    module = discovery.module_for("arrival", scenario.arrival)
    module.create(
        ArrivalSpec(
            name=scenario.arrival,
            rate_rps=scenario.rate_rps,
            duration_s=scenario.duration_s,
            seed=scenario.seed,
            shape=scenario.shape,
        )
    )


def _refuse_own_fields(tables: Mapping[str, Any], path: Path) -> None:
    for name, field in Scenario.model_fields.items():
        if field.exclude and name in tables:
            raise InputError(f"{path}: unknown key `{name}`", remedy="remove it")


def _file_named(what: str, layout: Layout) -> Path:
    path = Path(what)
    if path.is_file():
        return path.absolute()
    if path.suffix == ".toml" or len(path.parts) > 1:
        raise InputError(f"there is no file {what}", evidence=f"looked in {layout.working}", remedy="check the path")
    names: dict[str, Path] = {}
    for file in layout.scenario_files():
        names.setdefault(_default_name(file), file)
    if what in names:
        return names[what]
    near = difflib.get_close_matches(what, names, n=1)
    raise InputError(
        f"there is no scenario named {what!r}",
        evidence=f"known: {', '.join(sorted(names)) or 'none'}",
        remedy=f"did you mean {near[0]!r}?" if near else "`proofload scenarios` lists the names; a file will do too",
    )


def _default_name(path: Path) -> str:
    return path.name.partition(".")[0]


def _merged(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`tables` with `changes` in place of what they name, table by table."""
    outcome = dict(tables)
    for key, value in changes.items():
        here = outcome.get(key)
        both = isinstance(here, dict) and isinstance(value, dict)
        outcome[key] = _merged(here, value) if both and here is not None else value
    return outcome


def _with_absolute_paths(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Files named on the command line are relative to where it was typed, not to the scenario file."""

    def is_file(key: str, value: Any) -> bool:
        return isinstance(value, str) and (
            key in {"payloads", "shape.file"} or (key == "canary" and value.endswith(".toml"))
        )

    return {key: str(Path(value).absolute()) if is_file(key, value) else value for key, value in overrides.items()}
