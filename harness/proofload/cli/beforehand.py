"""What is settled before anything is measured: what cannot be is refused, and the results get a place."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from proofload.cli.json_result import refuse_unwritable


def refuse_what_cannot_be(runtime: str | None, json_to: str | None) -> None:
    """What would otherwise come to light only after the measurement. Raises InputError."""
    from proofload.discovery import module_for

    if runtime is not None:
        module_for("runtime", runtime)
    refuse_unwritable(json_to)


def new_folder(*words: str, within: Path = Path("out")) -> Path:
    """<within>/<time>-<words>, one that is not there yet."""
    now = datetime.now(UTC).astimezone().strftime("%Y%m%d-%H%M%S")
    name = "-".join([now, *(re.sub(r"[^A-Za-z0-9._]+", "-", word).strip("-.") or "x" for word in words)])
    folder, number = within / name, 1
    while folder.exists():
        number += 1
        folder = within / f"{name}-{number}"
    return folder
