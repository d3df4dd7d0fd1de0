"""The index over all run folders: one DuckDB file, for the pages and for anybody's SQL.

It holds nothing that the run folders do not: where it is missing, damaged, of another version or behind them, it is
made again from them, and said so. A row is never removed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import duckdb

from proofload.errors import InputError
from proofload.nightly.figures import Figure
from proofload.nightly.night import nights
from proofload.nightly.rows import Row, row_of
from proofload.records import Status

FILE = "history.duckdb"
SCHEMA = "proofload.history/3"
_KEY = "night VARCHAR, scenario VARCHAR, target VARCHAR, device VARCHAR"
_TABLES = f"""
CREATE TABLE about (schema VARCHAR);
CREATE TABLE runs ({_KEY}, night_began VARCHAR, folder VARCHAR, status VARCHAR, said VARCHAR, started_at VARCHAR,
  duration_s DOUBLE, procedure VARCHAR, host VARCHAR, configuration VARCHAR, facts VARCHAR,
  cost DOUBLE, cost_low DOUBLE, cost_high DOUBLE, currency VARCHAR, PRIMARY KEY (night, scenario, target, device));
CREATE TABLE figures ({_KEY}, name VARCHAR, value DOUBLE, low DOUBLE, high DOUBLE, unit VARCHAR,
  high_is_worse BOOLEAN, bound VARCHAR, PRIMARY KEY (night, scenario, target, device, name));
"""
_RUNS = tuple(one.name for one in fields(Row) if one.name != "figures")
_FIGURES = tuple(one.name for one in fields(Figure))


class Index:
    """The index in the folder `out`."""

    def __init__(self, out: Path, told: Callable[[str], None]) -> None:
        """`told(text)` hears when the index had to be made again."""
        self.out = out
        self.path = out / FILE
        self._told = told

    def rows(self) -> list[Row]:
        """All rows, the oldest night first; what the run folders hold and the index does not is taken in first."""
        try:
            self.catch_up()
            return self._read()
        except _Unusable as exc:
            self._told(f"{self.path}: {exc}; it is made again from the run folders")
        self.rebuild()
        return self._read()

    def catch_up(self) -> None:
        """Take in the cells that were done since."""
        with self._opened() as index:
            known = set(index.execute("SELECT night, scenario, target, device FROM runs").fetchall())
            _put(index, self._found(known))

    def rebuild(self) -> int:
        """Make it anew from the run folders; returns how many rows it has. What cannot be read stays, beside it."""
        if self.path.exists():
            with suppress(OSError):
                self.path.replace(self.path.with_name(f"{FILE}.before"))
        for left in (self.path, self.path.with_name(f"{FILE}.wal")):
            left.unlink(missing_ok=True)
        rows = list(self._found(set()))
        with self._opened() as index:
            _put(index, rows)
        return len(rows)

    def _found(self, known: set[tuple[str, ...]]) -> Iterator[Row]:
        """The rows of all cells that were tried, but for those that are known."""
        for night in nights(self.out):
            for cell in night.cells:
                if (night.name, cell.scenario_name, cell.target_name, cell.device) not in known:
                    row = row_of(self.out, night, cell)
                    if row is not None:
                        yield row

    def _read(self) -> list[Row]:
        with self._opened() as index:
            figures: dict[tuple[str, ...], list[Figure]] = {}
            for told in _told(index, "SELECT * FROM figures ORDER BY rowid"):
                key = (told.pop("night"), told.pop("scenario"), told.pop("target"), told.pop("device"))
                figures.setdefault(key, []).append(Figure(**told))
            runs = _told(index, "SELECT * FROM runs ORDER BY night_began, night, scenario, target, device")
            return [_row(told, figures) for told in runs]

    @contextmanager
    def _opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Raises _Unusable for a file that is no index of ours, InputError where another process has it."""
        self.out.mkdir(parents=True, exist_ok=True)
        fresh = not self.path.exists()
        try:
            index = duckdb.connect(str(self.path))
        except duckdb.Error as exc:
            if "could not set lock" in str(exc).lower():  # and not a "checksum in block" that is wrong
                raise InputError(
                    f"{self.path} is in use",
                    evidence=str(exc),
                    cause="another `proofload nightly`, or a program that reads the index, has it open",
                    remedy="wait for it, or close it",
                ) from exc
            raise _Unusable(f"cannot be opened ({_first_line(exc)})") from exc
        try:
            if fresh:
                index.execute(_TABLES)
                index.execute("INSERT INTO about VALUES (?)", [SCHEMA])
            elif index.execute("SELECT schema FROM about").fetchall() != [(SCHEMA,)]:
                raise _Unusable("it is of another version")
            yield index
        except duckdb.Error as exc:
            raise _Unusable(f"cannot be read ({_first_line(exc)})") from exc
        finally:
            with suppress(duckdb.Error):
                index.close()


class _Unusable(Exception):  # noqa: N818  a state of the file, not an error that anybody sees
    """The index is damaged, or another program's: nothing is lost."""


def _put(index: duckdb.DuckDBPyConnection, rows: Iterable[Row]) -> None:
    """Add rows that are not there yet: all of them, or none."""
    index.execute("BEGIN")
    for row in rows:
        _insert(index, "runs", _RUNS, [_stored(getattr(row, name)) for name in _RUNS])
        key = (row.night, row.scenario, row.target, row.device)
        for figure in row.figures:
            names = ("night", "scenario", "target", "device", *_FIGURES)
            _insert(index, "figures", names, [*key, *(getattr(figure, name) for name in _FIGURES)])
    index.execute("COMMIT")


def _told(index: duckdb.DuckDBPyConnection, asked: str) -> Iterator[dict[str, Any]]:
    found = index.execute(asked)
    names = [column[0] for column in found.description or ()]
    for row in found.fetchall():
        yield dict(zip(names, row, strict=True))


def _insert(index: duckdb.DuckDBPyConnection, table: str, names: Sequence[str], values: Sequence[Any]) -> None:
    places = ", ".join("?" * len(names))
    index.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", values)  # noqa: S608


def _stored(value: Any) -> Any:
    if isinstance(value, Status):
        return str(value)
    return json.dumps(value, default=str) if isinstance(value, dict) else value


def _row(told: dict[str, Any], figures: dict[tuple[str, ...], list[Figure]]) -> Row:
    key = (told["night"], told["scenario"], told["target"], told["device"])
    status = None if told["status"] is None else Status(told["status"])
    facts = json.loads(told["facts"]) if told["facts"] else {}
    return Row(**{**told, "status": status, "facts": facts, "figures": tuple(figures.get(key, ()))})


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
