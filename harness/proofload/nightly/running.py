"""Does the cells of a night that are missing, one after the other, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from proofload.nightly.alone import wait_until_ended
from proofload.nightly.night import Night
from proofload.nightly.plan import Cell, Plan
from proofload.run_process import Command, RunError, measured
from proofload.store.folder import write_whole


def run_missing(night: Night, plan: Plan, working: Path, *, told: Callable[[str], None]) -> None:
    """`told(text)` hears of each cell. A cell that cannot be measured leaves its reason, and the others go on.

    An interruption goes through: what is missing then is done by the next call.
    """
    missing = night.missing()
    for number, cell in enumerate(missing, start=1):
        told(f"{cell.name} ({number} of {len(missing)})")
        wait_until_ended(night.run_folder(cell))
        night.set_aside(cell)
        try:
            measured(_command(cell, plan, night.run_folder(cell), working))
        except RunError as error:
            write_whole(night.error_file(cell), f"{error}\n".encode("utf-8", "replace"))


def _command(cell: Cell, plan: Plan, folder: Path, working: Path) -> Command:
    others = {"device": cell.device}
    if plan.runtime is not None:
        others["runtime"] = plan.runtime
    return Command(
        folder=working,
        scenario=cell.scenario,
        out=folder.absolute(),
        quick=plan.quick,
        target=cell.target or None,
        settings=plan.settings(),
        others=others,
    )
