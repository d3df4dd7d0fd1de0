"""`proofload run`: drive a target through a scenario and say whether it held."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proofload.cli.beforehand import new_folder, refuse_what_cannot_be
from proofload.cli.json_result import ON_STDOUT, write_json
from proofload.cli.speaking import say
from proofload.errors import InputError

if TYPE_CHECKING:
    from proofload.records import Result
    from proofload.scenarios import Scenario
    from proofload.targets import Target

_WIDTH_OF_A_LOG = 140


class Device(StrEnum):
    """What a started target computes on."""

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"


def run(
    context: typer.Context,
    scenario: Annotated[str, typer.Argument(help="A scenario's name (`proofload scenarios`) or file.")],
    *,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE|URL", help="What to test, in place of the scenario's targets; may be repeated."
        ),
    ] = None,
    payloads: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Requests to send, one JSON object a line.")
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE|URL", help="The second version, for canary-rollback and its kin."),
    ] = None,
    reference: Annotated[Path | None, typer.Option(metavar="FILE", help="skew: features as in training.")] = None,
    serving: Annotated[Path | None, typer.Option(metavar="FILE", help="skew: features as served.")] = None,
    key: Annotated[str | None, typer.Option(metavar="COLUMN", help="skew: the column that joins the two.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the scenario, or of the target: target.KEY."),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the target lives: process, container or external.")
    ] = None,
    device: Annotated[Device | None, typer.Option(help="What a started target computes on.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The scenario's short form.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run folder: a new or an empty one.")] = None,
    json_to: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write the result; - is standard output, alone.")
    ] = None,
) -> int:
    """Run a scenario and say whether the target held.

    Without --target, the targets that the scenario names are run one after the other.
    """
    from proofload.cli.command_line import as_typed
    from proofload.overrides import parsed
    from proofload.scenarios import load_scenario
    from proofload.verdict.status import exit_code

    changes = parsed(settings or ())
    beside = canary if canary is None or not Path(canary).exists() else _absolute(Path(canary))
    named = {"canary": beside, "reference": _absolute(reference), "serving": _absolute(serving), "key": key}
    short = {name: value for name, value in named.items() if value is not None}
    plan = load_scenario(scenario, quick=quick, overrides={**changes.scenario, **short})
    chosen = chosen_targets(plan, target or (), payloads, changes.target)
    second = _second(plan, payloads)
    refuse_what_cannot_be(runtime, json_to)
    folder = out or new_folder(plan.name, _in_a_word(chosen))
    with _claimed(folder), _leaving_what_was_recorded(folder, json_to):
        results = _measured(
            plan,
            chosen,
            second,
            out=folder,
            device=str(device or plan.device or Device.CPU),
            runtime=runtime or "auto",
            command=as_typed(context.obj or sys.argv[1:]),
        )
    _leave(results, folder, json_to)
    return exit_code(result.status for result in results)


def chosen_targets(
    plan: Scenario, named: Sequence[str], payloads: Path | None, changes: Mapping[str, Any]
) -> list[Target]:
    """The targets of this run, each with something to send."""
    from proofload.placeholders import names_in
    from proofload.targets import load_target
    from proofload.workloads.payloads import load_payloads, no_payloads

    names = list(named) or ([] if not plan.needs_target else plan.target_names())
    if not names and not plan.needs_target:
        return []
    if not names:
        raise InputError(
            f"the scenario {plan.name} names no target", remedy="name one: --target fastapi, a file or a URL"
        )
    pool = payloads or plan.payloads_path
    chosen = [load_target(name, payloads=None if pool is None else str(pool), overrides=changes) for name in names]
    if plan.model is not None and "model" not in changes:
        chosen = [one.model_copy(update={"model": plan.model}) if one.uses("fixtures") else one for one in chosen]
    twice = {one.name for one in chosen if [other.name for other in chosen].count(one.name) > 1}
    if twice:
        raise InputError(f"two targets are called {twice.pop()}", remedy="give each file another `name`")
    for one in chosen:
        if one.payloads_path is None:
            raise no_payloads(one.name)
        if not list(names_in(str(one.payloads))):
            load_payloads(one.payloads_path)  # for its errors: better now than when a server has been started
    return chosen


def _second(plan: Scenario, payloads: Path | None) -> Target | None:
    """The second version, where the scenario has one."""
    from proofload.targets import load_target

    if plan.canary_name is None:
        return None
    pool = payloads or plan.payloads_path
    return load_target(plan.canary_name, payloads=None if pool is None else str(pool))


def _absolute(path: Path | None) -> str | None:
    """Paths on the command line are relative to where it was typed, those in a scenario file to that file."""
    return None if path is None else str(path.absolute())


def _in_a_word(targets: Sequence[Target]) -> str:
    return targets[0].name if len(targets) == 1 else f"{len(targets)}-targets" if targets else "files"


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """The run folder is ours; if no file was written into it, it does not stay behind."""
    from proofload.store.folder import claim

    claim(folder)
    try:
        yield
    except BaseException:
        _remove_empty(folder)
        if (folder / "report.html").exists():
            say(f"what was recorded until then: {folder / 'report.html'}")
        raise


def _remove_empty(folder: Path) -> None:
    """The folder goes if folders are all it holds; otherwise all of it stays."""
    inside = list(folder.rglob("*"))
    if any(path.is_symlink() or not path.is_dir() for path in inside):
        return
    with suppress(OSError):  # one that has been filled since then stays
        for path in [*sorted(inside, reverse=True), folder]:
            path.rmdir()


@contextmanager
def _leaving_what_was_recorded(folder: Path, json_to: str | None) -> Iterator[None]:
    """A run that is cut short has a result too, as soon as anything was recorded."""
    from proofload.errors import ProofloadError

    try:
        yield
    except BaseException:
        with suppress(ProofloadError):
            results = _recorded(folder)
            if results and json_to is not None:
                _write_json(results, folder, json_to)
        raise


def _recorded(folder: Path) -> list[Result]:
    from proofload.store.record import RunRecord

    paths = list(folder.glob("result.json")) or folder.glob("*/result.json")
    return sorted((RunRecord(path.parent).result for path in paths), key=lambda result: result.started_at)


def _measured(
    plan: Scenario,
    chosen: Sequence[Target],
    second: Target | None,
    *,
    out: Path,
    device: str,
    runtime: str,
    command: str,
) -> list[Result]:
    from rich.console import Console

    from proofload.lab import run_scenario
    from proofload.progress import progress_on
    from proofload.resources import ensure_fixtures

    with progress_on(Console(stderr=True, highlight=False)) as progress:
        for target in [*chosen, *([second] if second is not None else [])]:
            if target.uses("fixtures") and target.model is not None:
                ensure_fixtures(target.model, progress.message)
        return run_scenario(
            plan, chosen, canary=second, out=out, device=device, runtime=runtime, command=command, progress=progress
        )


def _leave(results: Sequence[Result], folder: Path, json_to: str | None) -> None:
    """What stays on the screen and in the JSON file."""
    from rich.console import Console

    from proofload.report.terminal import closing_table

    console = Console(stderr=json_to == ON_STDOUT, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_LOG
    console.print(closing_table(results))
    report = folder / "report.html"
    console.print(f"\nreport: {report if report.exists() else folder}", soft_wrap=True, markup=False)
    if json_to is not None:
        _write_json(results, folder, json_to)


def _write_json(results: Sequence[Result], folder: Path, json_to: str) -> None:
    from proofload.store.results_json import results_text

    write_json(json_to, results_text(results), kept=f"the run is kept: see {folder}")
