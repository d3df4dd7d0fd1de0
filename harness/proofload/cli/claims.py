"""`proofload claims`: what is said of serving in public, tried on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proofload.cli.json_result import ON_STDOUT, refuse_unwritable, write_json
from proofload.errors import EXIT_NO_VERDICT, EXIT_PASS, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proofload.claims.trying import Tried

_WIDTH_OF_A_LOG = 160


def claims(
    context: typer.Context,
    *,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="N|NAME", help="This claim alone; may be repeated.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer lifetimes of each server, most of them shorter.")
    ] = False,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where what was measured is kept, and taken up again from.")
    ] = Path("out/claims"),
    report_in: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Where claims.md goes; DIR of --out if not given.")
    ] = None,
    json_to: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write the table; - is standard output, alone.")
    ] = None,
) -> int:
    """Try published claims about model serving on this machine, and print which hold.

    Interrupted, it goes on where it stopped: what was measured is kept, claim by claim. Exit code 0 when every claim
    that can be tried here was settled, one way or the other; 3 when some are inconclusive.
    """
    from rich.console import Console

    from proofload.claims import report, trying
    from proofload.claims.ruling import Ruling
    from proofload.cli.command_line import as_typed
    from proofload.cli.speaking import say
    from proofload.progress import progress_on

    wanted = trying.chosen(only or ())
    folder = report_in or out
    refuse_unwritable(json_to)
    _make(out, "--out")
    _make(folder, "--report")
    rows = []
    with progress_on(Console(stderr=True, highlight=False)) as progress:
        for row in trying.tried(wanted, out, progress, quick=quick):
            rows.append(row)
            if row.measured is not None:
                say(f"{row.claim.number} {row.claim.name}: {report.measured_text(row)}, {report.ruled_text(row)}")
    taken = {row.claim.number: row for row in rows}
    every = [taken.get(claim.number) or trying.kept(claim, out) for claim in trying.known_claims()]
    written = report.write(folder, every, command=as_typed(context.obj or sys.argv[1:]))
    _tell(rows, written, json_to)
    settled = all(row.ruling is not Ruling.INCONCLUSIVE for row in rows)
    return EXIT_PASS if settled else EXIT_NO_VERDICT


def _make(folder: Path, option: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InputError(
            f"{option} {folder} cannot be made", evidence=str(exc), remedy="name a folder, or a place for a new one"
        ) from exc


def _tell(rows: Sequence[Tried], written: Path, json_to: str | None) -> None:
    import orjson

    from proofload.claims import trying
    from proofload.cli.speaking import out

    if json_to is not None:
        text = orjson.dumps(trying.document(rows), option=orjson.OPT_INDENT_2).decode()
        write_json(json_to, text, kept=f"the table is kept: see {written}")
        if json_to == ON_STDOUT:
            return
    _table(rows)
    out(f"report: {written}")


def _table(rows: Sequence[Tried]) -> None:
    from rich.console import Console
    from rich.table import Table

    from proofload.claims.report import measured_text, predicted_text, ruled_text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_LOG
    table = Table(box=None, pad_edge=False)
    for name in ("", "claim", "source", "said", "measured here", ""):
        table.add_column(name, justify="right" if name in {"said", "measured here"} else "left")
    for row in rows:
        claim = row.claim
        told = measured_text(row) if not claim.untried else claim.untried
        table.add_row(
            str(claim.number), claim.says, claim.source, predicted_text(claim.predicts), told, ruled_text(row)
        )
    console.print(table)
