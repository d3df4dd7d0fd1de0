"""`--json FILE|-`: the result for other programs."""

from __future__ import annotations

from pathlib import Path

from proofload.cli.speaking import out
from proofload.errors import InputError

ON_STDOUT = "-"


def refuse_unwritable(json_to: str | None) -> None:
    """Raises InputError for a --json that no file can be written to."""
    if json_to not in {None, ON_STDOUT}:
        path = Path(str(json_to))
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise InputError(
                f"--json {path} cannot be written",
                evidence="it is a folder" if path.is_dir() else f"there is no folder {path.absolute().parent}",
                remedy="name a file in a folder that exists, or - for standard output",
            )


def write_json(json_to: str, text: str, *, kept: str) -> None:
    """`kept`: where nothing is lost, if the file cannot be written. Raises InputError."""
    if json_to == ON_STDOUT:
        out(text)
        return
    try:
        Path(json_to).write_text(text + "\n", encoding="utf-8")
    except OSError as exc:
        raise InputError(f"cannot write {json_to}", evidence=str(exc), remedy=kept) from exc
