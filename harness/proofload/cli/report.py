"""`proofload report`: compute verdict and report again from run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders.")],
    *,
    baseline: Annotated[Path | None, typer.Option(metavar="DIR", help="A run folder to compare with.")] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", metavar="NAME", help="html, md, json or junit; may be repeated.")
    ] = None,
) -> None:
    """Compute result and report again from run folders.

    Everything is computed from what was recorded; nothing is measured. A run that was cut short is
    reported to its last flushed second.
    """
    from proofload.cli.speaking import out
    from proofload.discovery import module_for
    from proofload.lab import render_report

    for name in formats or ():
        module_for("report format", name)
    for path in render_report(folders, formats or ("html", "md"), baseline=baseline):
        out(str(path))
