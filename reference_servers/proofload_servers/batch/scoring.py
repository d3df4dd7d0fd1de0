"""A chunk of rows through the core: what can be scored is scored together, the rest is set apart with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.card import Card
from proofload_servers.serving.kinds import Kind
from proofload_servers.serving.refusals import InvalidInput

from .columns import Row
from .tables import BadRow


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows for the output and rows for the rejects file; together as many as came in."""

    scored: list[Mapping[str, Any]]
    rejected: list[Mapping[str, Any]]


def score(
    rows: Sequence[Row],
    first_row: int,
    *,
    read: Callable[[Row], Any],
    kind: Kind,
    compute: Callable[[list[Any]], Sequence[Any]],
    card: Card,
) -> Scored:
    """Scores one chunk. `first_row` is the number of its first row in the file, counted from 1 without the header."""
    prepared: list[Any] = []
    scored: list[dict[str, Any]] = []
    rejected: list[Mapping[str, Any]] = []
    for number, row in enumerate(rows, start=first_row):
        try:
            if isinstance(row, BadRow):
                raise InvalidInput(row.reason)
            prepared.append(kind.prepare(read(row)))
        except InvalidInput as exc:
            rejected.append({"row": number, "id": _identity(row), "reason": exc.message})
        else:
            scored.append({"row": number, "id": _identity(row)})
    model = {"model": card.name, "version": card.version}
    for line, prediction in zip(scored, compute(prepared) if prepared else (), strict=True):
        line.update(prediction if isinstance(prediction, dict) else {"prediction": prediction})
        line.update(model)
    return Scored([*scored], rejected)


def _identity(row: Row) -> str:
    """The row's own id where it has one."""
    return str(row.get("id") or row.get("transaction_id") or "")
