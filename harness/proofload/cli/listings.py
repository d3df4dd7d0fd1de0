"""`proofload targets` and `proofload scenarios`: what can be named here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from proofload.cli.speaking import out
from proofload.resources import Listed


def targets() -> None:
    """List the targets that can be named."""
    from proofload.targets import known_targets

    _show("target", known_targets(), "proofload run load --target NAME")


def scenarios() -> None:
    """List the scenarios that can be named."""
    from proofload.scenarios import known_scenarios

    _show("scenario", known_scenarios(), "proofload run NAME")


def _show(kind: str, found: Iterable[Listed], next_step: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    items = list(found)
    console = Console(highlight=False)
    if not console.is_terminal:  # for grep and cut: one line each, nothing shortened
        for item in items:
            said = f"unusable: {item.problem}" if item.problem else item.description
            out("\t".join((item.name, said, _shown(item.path))))
        return
    if not items:
        console.print(f"no {kind} was found here: write a *.{kind}.toml")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("description")
    table.add_column("file", overflow="fold")
    for item in items:
        told = Text(f"unusable: {item.problem}", "red") if item.problem else Text(item.description)
        table.add_row(Text(item.name, "bold"), told, Text(_shown(item.path), "dim"))
    console.print(table)
    console.print(f"\nnext: {next_step}")


def _shown(path: Path) -> str:
    """Relative where it is below the working directory: what a person would type."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
