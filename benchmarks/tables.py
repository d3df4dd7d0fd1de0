"""Plain tables: one for each subject, the first column to the left, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> None:
    """Print a table of texts, and what there is to say of it."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    print(f"\n{title}")
    for line in (head, ["-" * width for width in widths], *rows):
        first, *others = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  " + "  ".join([first, *others]).rstrip())
    for note in notes:
        print(f"  {note}")


def rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
