"""`proofload doctor`: is this machine fit to measure, and which optional parts are there?"""

from __future__ import annotations

import typer

from proofload.errors import EXIT_BAD_INPUT


def doctor() -> None:
    """Examine this machine, and say what is unavailable and why."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from proofload.doctor import Finding, Grade, conclusion, examine

    marks = {
        Grade.GOOD: ("✓", "green"),
        Grade.NOTE: ("·", "dim"),
        Grade.DOUBT: ("!", "bold yellow"),
        Grade.BROKEN: ("✗", "bold red"),
    }
    console = Console(highlight=False)
    found: list[Finding] = []
    for title, findings in examine():
        found += findings
        console.print(Text(title, "bold"))
        table = Table.grid(padding=(0, 2), pad_edge=False)
        for one in findings:
            mark, style = marks[one.grade]
            said = Text(one.says)
            if one.remedy:
                said.append(f"\n→ {one.remedy}", "italic")
            table.add_row(Text(f"  {mark}", style), Text(one.name), said)
        console.print(table)
    console.print()
    for line in conclusion(found):
        console.print(Text(line))
    if any(one.grade is Grade.BROKEN for one in found):
        raise typer.Exit(EXIT_BAD_INPUT)
