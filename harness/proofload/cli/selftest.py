"""`proofload selftest`: is what is planted found, and what is healthy left alone?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proofload.cli.json_result import ON_STDOUT, refuse_unwritable, write_json
from proofload.errors import EXIT_FAIL, EXIT_NO_VERDICT, EXIT_PASS, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proofload.selftest import Case
    from proofload.selftest.campaign import Trialled
    from proofload.selftest.real import Run
    from proofload.selftest.windows import Replayed


def selftest(
    context: typer.Context,
    *,
    scenario: Annotated[str | None, typer.Option(metavar="NAME", help="Only what serves this scenario.")] = None,
    runs: Annotated[int, typer.Option("--runs", min=0, help="Real runs of each planted defect.")] = 2,
    healthy: Annotated[
        int,
        typer.Option(min=0, help="Real runs of each scenario on healthy servers, dealt out among its harmless cases."),
    ] = 10,
    histories: Annotated[
        int, typer.Option(min=0, help="Simulated histories of each shape; 0: the real level alone.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seeds the simulated histories.")] = 1,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where recorded runs are kept, and taken up again from.")
    ] = Path("out/selftest"),
    report_in: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Where selftest.md goes; DIR of --out if not given.")
    ] = None,
    json_to: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write the counts; - is standard output, alone.")
    ] = None,
) -> int:
    """Try the lab on itself: simulated histories, then real servers with planted defects and healthy ones.

    Interrupted, it goes on where it stopped. Exit code 0 when all stated rates were kept, each planted defect was
    found and named, no healthy server failed and nine in ten of each scenario's passed; 1 when not, 3 when nothing
    was tried.
    """
    from proofload import __version__
    from proofload.cli.command_line import as_typed
    from proofload.selftest import report
    from proofload.selftest.real import shortfalls

    _refuse_unknown(scenario)
    refuse_unwritable(json_to)
    command = as_typed(context.obj or sys.argv[1:])
    trialled = _simulated(scenario, histories, seed, out) if histories else []
    made, replays, unseen = _real(scenario, runs, healthy, out)
    folder = report_in or out
    folder.mkdir(parents=True, exist_ok=True)
    written = report.write(
        folder, trialled, made, replays, command=command, made_with=f"proofload {__version__}", unseen=unseen
    )
    _tell(trialled, made, written, json_to)
    if not trialled and not made:
        return EXIT_NO_VERDICT
    kept = all(one.kept is not False for one in trialled) and not shortfalls(made)
    return EXIT_PASS if kept else EXIT_FAIL


def _refuse_unknown(scenario: str | None) -> None:
    from proofload.selftest.campaign import trials
    from proofload.selftest.real import cases

    known = {trial.scenario for trial in trials().values()} | {case.scenario for case in cases()}
    if scenario is not None and scenario not in known:
        raise InputError(f"no self-test serves {scenario!r}", evidence=f"known: {', '.join(sorted(known))}")


def _simulated(scenario: str | None, histories: int, seed: int, out: Path) -> list[Trialled]:
    from proofload.cli.speaking import say
    from proofload.selftest.campaign import campaign, trials

    def told(trial: str, done: int, of: int) -> None:
        if done % 10 == 0:
            say(f"simulated: {done} of {of} shapes ({trial})")

    out.mkdir(parents=True, exist_ok=True)
    kept = out / "simulated.jsonl"
    return list(campaign(trials(scenario), histories, seed=seed, kept=kept, told=told))


def _real(scenario: str | None, runs: int, healthy: int, out: Path) -> tuple[list[Run], list[Replayed], int]:
    """The runs that there are afterwards, what the windows of long ones showed, and how many could not be made."""
    from rich.console import Console

    from proofload import __version__
    from proofload.cli.speaking import say
    from proofload.progress import progress_on
    from proofload.selftest.real import cases, folder_of, plan, record, recorded, seen
    from proofload.selftest.windows import replay

    planned = list(plan(cases(scenario), runs, healthy))
    base = out / "runs"
    base.mkdir(parents=True, exist_ok=True)
    with progress_on(Console(stderr=True, highlight=False)) as progress:
        for place, (case, number) in enumerate(_rounds(base, planned)):
            what = f"{case.scenario} on {case.target}: {case.fault or 'healthy'}"
            say(f"real run {place + 1}, {len(planned)} planned: {what}")
            record(base, case, number, progress=progress, version=__version__)
            one = seen(base, case, number)
            say(f"  {one.status or 'not run'} {', '.join(one.causes)}{'' if one.right else '  <- ' + one.why[:300]}")
    there = [(case, number) for case, number in planned if recorded(base, case, number)]
    made = [seen(base, case, number) for case, number in there if not case.windows_s]
    long = [(case, folder_of(base, case, number)) for case, number in there if case.windows_s]
    replays = [replay(folder, case) for case, folder in long if (folder / "run.json").exists()]
    return made, replays, len(planned) - len(made) - len(replays)


def _rounds(base: Path, planned: Sequence[tuple[Case, int]]) -> Iterator[tuple[Case, int]]:
    """What has no record, in order; then, over and over, what came out invalid and may be made again."""
    from proofload.selftest.real import again, recorded, seen

    yield from (one for one in planned if not recorded(base, *one))
    runs = [one for one in planned if not one[0].windows_s]
    while waiting := [one for one in runs if again(seen(base, *one))]:
        yield from waiting


def _tell(trialled: Sequence[Trialled], made: Sequence[Run], written: Path, json_to: str | None) -> None:
    import orjson

    from proofload.cli.speaking import out

    if json_to is not None:
        text = orjson.dumps(_document(trialled, made), option=orjson.OPT_INDENT_2).decode()
        write_json(json_to, text, kept=f"the report is kept: see {written}")
        if json_to == ON_STDOUT:
            return
    for line in written.read_text(encoding="utf-8").splitlines():
        if line.startswith(("- ", "  - ")):
            out(line)
    out(f"report: {written}")


def _document(trialled: Sequence[Trialled], made: Sequence[Run]) -> dict[str, Any]:
    return {
        "simulated": [
            {
                "scenario": one.scenario,
                "decides": one.decides,
                "shape": one.tally.shape.name,
                "kind": one.tally.shape.kind,
                "histories": one.tally.histories,
                "counts": {str(status): count for status, count in one.tally.counts.items()},
                "alpha": one.tally.shape.alpha,
                "detect": one.tally.shape.detect,
                "magnitude": one.tally.shape.magnitude,
                "kept": one.kept,
            }
            for one in trialled
        ],
        "real": [
            {
                "scenario": run.case.scenario,
                "target": run.case.target,
                "fault": run.case.fault,
                "run": run.number + 1,
                "status": None if run.status is None else str(run.status),
                "causes": list(run.causes),
                "expected": list(run.case.expect),
                "right": run.right,
                "why": run.why,
            }
            for run in made
        ],
    }
