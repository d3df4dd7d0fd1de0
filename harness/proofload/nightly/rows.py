"""From a run folder to the row that the history keeps of it: everything the pages need of a run that may be pruned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proofload.errors import ProofloadError
from proofload.nightly.figures import Figure, figures_of
from proofload.nightly.likeness import likeness
from proofload.nightly.night import Night, is_done
from proofload.nightly.plan import Cell
from proofload.records import Result, Status
from proofload.report.sentences import headline
from proofload.report.text import printable
from proofload.store.record import RunRecord

_NO_RESULT = "its run folder holds no complete run"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of one night. `status` is None where it could not be measured: `said` tells why."""

    night: str
    night_began: str
    scenario: str
    target: str
    device: str
    folder: str
    """The run folder, relative to the history's; empty where there is none."""
    status: Status | None
    said: str
    """The report's first sentence, or the error."""
    started_at: str = ""
    duration_s: float = 0.0
    procedure: str = ""
    host: str = ""
    configuration: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """{"host": …, "configuration": …}: what the two fingerprints were made of."""
    cost: float | None = None
    cost_low: float | None = None
    cost_high: float | None = None
    currency: str = ""
    figures: tuple[Figure, ...] = ()

    @property
    def cell(self) -> str:
        return " · ".join(filter(None, (self.scenario, self.target, self.device)))


def row_of(out: Path, night: Night, cell: Cell) -> Row | None:
    """None for a cell that has not been tried yet."""
    folder = night.run_folder(cell)
    if is_done(folder):
        try:
            record = RunRecord(folder)
            return _measured(out, night, cell, record.run, record.result)
        except (ProofloadError, KeyError, TypeError, AttributeError) as exc:
            return _unmeasured(night, cell, f"{_NO_RESULT}: {exc}")
    error = night.error_file(cell)
    if not error.exists():
        return None
    try:
        return _unmeasured(night, cell, error.read_text(encoding="utf-8", errors="replace"))
    except OSError as exc:
        return _unmeasured(night, cell, str(exc))


def _measured(out: Path, night: Night, cell: Cell, run: Mapping[str, Any], result: Result) -> Row:
    alike = likeness(run)
    cost = result.cost
    priced = cost is not None and cost.priced and result.status is not Status.INVALID
    said = headline(result)
    return Row(
        night=night.name,
        night_began=night.began_at,
        scenario=cell.scenario_name,
        target=cell.target_name,
        device=cell.device,
        folder=night.run_folder(cell).relative_to(out).as_posix(),
        status=result.status,
        said=said[0] if said else "",
        started_at=result.started_at,
        duration_s=result.duration_s,
        procedure=result.procedure,
        host=alike.host,
        configuration=alike.configuration,
        facts={"host": alike.host_facts, "configuration": alike.configuration_facts},
        cost=cost.per_million if cost is not None and priced else None,
        cost_low=cost.interval.low if cost is not None and priced else None,
        cost_high=cost.interval.high if cost is not None and priced else None,
        currency=cost.currency if cost is not None and priced else "",
        figures=figures_of(result),
    )


def _unmeasured(night: Night, cell: Cell, why: str) -> Row:
    return Row(
        night.name,
        night.began_at,
        cell.scenario_name,
        cell.target_name,
        cell.device,
        "",
        None,
        printable(why.removeprefix("error: "), 600),
    )
