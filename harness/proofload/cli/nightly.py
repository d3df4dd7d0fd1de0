"""`proofload nightly`: a matrix of runs, its history, and the pages about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proofload.errors import EXIT_FAIL, EXIT_PASS, InputError

if TYPE_CHECKING:
    from proofload.nightly.chronicle import Chronicle
    from proofload.nightly.plan import Planned
    from proofload.nightly.retention import Removal

DEFAULT_OUT = Path("out") / "nightly"


def nightly(
    *,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What to run; absent: nightly.toml where you are.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where nights, history and pages are kept, night after night.")
    ] = DEFAULT_OUT,
    night: Annotated[
        str | None, typer.Option(metavar="NAME", help="The night to begin or to go on with; absent: by its date.")
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Run nothing: make index and pages again from the run folders.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run and remove nothing: say what would be run and removed.")
    ] = False,
) -> int:
    """Run every cell of a plan, add it to the history, find what changed, write the pages.

    A night that was interrupted is gone on with: the next call does the cells that are missing. Exit codes as
    everywhere: 1 when a cell failed, or a change for the worse was told tonight; 3 when none did but one is
    inconclusive, invalid or missing.
    """
    from proofload.nightly.pages import pages_of

    pages_of(out).refuse_foreign()  # now, and not when a night has been measured
    if rebuild:
        return _rebuilt(out)
    from proofload.nightly.plan import read_plan

    planned = read_plan(plan)
    if dry_run:
        _say_what_would_be_done(out, planned, night)
        return EXIT_PASS
    from proofload.nightly.alone import alone_in

    with alone_in(out):
        return _run(planned, out, night)


def _run(planned: Planned, out: Path, name: str | None) -> int:
    from proofload.cli.speaking import say
    from proofload.nightly.night import begin, nights, tonight
    from proofload.nightly.retention import removable, remove
    from proofload.nightly.running import run_missing

    night = tonight(out, planned, name, datetime.now(UTC))
    begin(night, planned)
    say(f"night {night.name}: {len(night.missing())} of {len(night.cells)} cells to run")
    try:
        run_missing(night, planned.plan, Path.cwd(), told=say)
    finally:
        chronicle = _written(out)
    going = removable(nights(out), planned.plan.keep_nights)
    remove(going)
    _say_what_went(going, "removed")
    return exit_code(chronicle, night.name)


def exit_code(chronicle: Chronicle, night: str) -> int:
    """That of its cells, and 1 when a change for the worse was told this night."""
    from proofload.verdict import status

    told = [
        change for trend in chronicle.trends for change in trend.changes if change.told_on == night and change.worse
    ]
    if told:
        return EXIT_FAIL
    return status.exit_code(row.status for row in chronicle.rows if row.night == night)


def _rebuilt(out: Path) -> int:
    from proofload.cli.speaking import say
    from proofload.nightly.alone import alone_in
    from proofload.nightly.history import Index

    if not (out / "nights").is_dir():
        raise InputError(
            f"{out} holds no nights", evidence=f"there is no folder {out / 'nights'}", remedy="name it with --out DIR"
        )
    with alone_in(out):
        say(f"{out / 'history.duckdb'}: {Index(out, say).rebuild()} rows")
        _written(out)
    return EXIT_PASS


def _written(out: Path) -> Chronicle:
    """Index and pages brought up to date, and what there is to say about the last night."""
    from proofload.cli.speaking import out as write_out
    from proofload.cli.speaking import say
    from proofload.nightly.chronicle import chronicle_of
    from proofload.nightly.history import Index
    from proofload.nightly.night import nights
    from proofload.nightly.site import write_site

    chronicle = chronicle_of(nights(out), Index(out, say).rows())
    page, sentences = write_site(out, chronicle)
    for sentence in (*sentences, f"pages: {page}"):
        write_out(sentence)
    return chronicle


def _say_what_would_be_done(out: Path, planned: Planned, name: str | None) -> None:
    from proofload.cli.speaking import out as write_out
    from proofload.nightly.night import nights, tonight
    from proofload.nightly.retention import removable

    before, night = nights(out), tonight(out, planned, name, datetime.now(UTC))
    cells = night.missing()
    if night.begun:
        write_out(f"would go on with night {night.name}: {len(cells)} of {len(night.cells)} cells are missing")
    else:
        many = "s, in this order" if len(cells) > 1 else ""
        write_out(f"would begin night {night.name}: {len(cells)} cell{many}")
    for cell in cells:
        write_out(f"  {cell.name}")
    after = before if night.begun else [*before, night]
    _say_what_went(removable(after, planned.plan.keep_nights), "would remove")


def _say_what_went(going: Sequence[Removal], verb: str) -> None:
    from proofload.cli.speaking import say

    for removal in going:
        what = ", ".join(path.name for path in removal.paths)
        say(f"{verb} {what} of {removal.folder} ({removal.size / 2**20:.1f} MiB)")
