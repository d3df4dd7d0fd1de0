"""Reading a run folder back, complete or cut short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.errors import RunFolderError
from proofload.records import Event, Phase, Result, Samples
from proofload.store.result_json import result_from_json
from proofload.store.segments import read_samples, segment_files

USERS = "users.npy"
ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class Series:
    """One probe value over time: instants (int64 ns) and values, in order of time."""

    t_ns: NDArray[np.int64]
    values: NDArray[np.float64]


class RunRecord:
    """One run folder, read lazily. Nothing here measures or judges."""

    def __init__(self, path: Path) -> None:
        """Raises RunFolderError when `path` is no run folder."""
        self.path = path
        try:
            self.run: Mapping[str, Any] = orjson.loads((path / "run.json").read_bytes())
            if not isinstance(self.run, dict):
                raise TypeError("it holds no JSON object")
        except (OSError, orjson.JSONDecodeError, TypeError) as exc:
            raise RunFolderError(
                f"{path} is not a run folder",
                evidence=f"{path / 'run.json'}: {exc}",
                remedy="name the folder that `proofload run` printed, the one that holds run.json",
            ) from exc

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """All events, in order of writing. A last line cut off by a kill is left out."""
        try:
            lines = (self.path / "events.jsonl").read_bytes().split(b"\n")
        except OSError:
            return ()
        return tuple(event for line in lines if (event := _event(line)) is not None)

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that began, from their events."""
        planned = {
            event.detail["phase"]: event.detail["planned"] for event in self.events if event.kind == "phase-planned"
        }
        ended = {event.detail["phase"]: event.detail for event in self.events if event.kind == "phase-cut"}
        found = []
        for event in self.events:
            if event.kind != "phase":
                continue
            detail = event.detail
            cut = ended.get(detail["phase"])
            phase = Phase(
                index=detail["phase"],
                name=detail["name"],
                arrival=detail["arrival"],
                rate_rps=detail["rate_rps"],
                duration_s=detail["duration_s"] if cut is None else cut["ran_s"],
                planned=planned.get(detail["phase"], -1),
                start_ns=detail["start_ns"],
                measured=detail["measured"],
            )
            found.append(phase if phase.planned >= 0 else self._as_far_as_recorded(phase))
        return tuple(found)

    def _as_far_as_recorded(self, phase: Phase) -> Phase:
        """A phase whose end the lab did not live to see: up to its last sample on disk."""
        table = self.samples(phase.index).table
        if not len(table):
            return replace(phase, planned=0, duration_s=0.0)
        ran_s = (int(table["intended_ns"][-1]) - phase.start_ns) / NS_PER_S
        return replace(phase, planned=int(table["seq"].max()) + 1, duration_s=min(phase.duration_s, ran_s))

    @cached_property
    def names(self) -> Mapping[tuple[str, int], str]:
        """Interned texts by kind and number: ("error", 3) → "reset"."""
        return {
            (event.detail["of"], event.detail["number"]): event.detail["text"]
            for event in self.events
            if event.kind == "name"
        }

    @property
    def complete(self) -> bool:
        """Did the lab reach the end of the run by itself?"""
        return any(event.kind == "run-complete" for event in self.events)

    @cached_property
    def result(self) -> Result:
        """result.json. Raises RunFolderError when there is none yet."""
        path = self.path / "result.json"
        try:
            return result_from_json(orjson.loads(path.read_bytes()))
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as exc:
            raise RunFolderError(
                f"{path} cannot be read", evidence=repr(exc), remedy=f"proofload report {self.path}"
            ) from exc

    def samples(self, phase: int | None = None) -> Samples:
        """Samples of one phase, or of all, in order of due time."""
        return Samples(read_samples(self.path / "samples", phase=phase))

    def users(self) -> NDArray[np.int32] | None:
        """The number of the user of each payload (-1: none named); None where no payload names one."""
        path = self.path / USERS
        return np.load(path, allow_pickle=False) if path.exists() else None

    def answers(self) -> Iterator[Mapping[str, Any]]:
        """Answers of phases that were captured, each engine process's in the order they were judged in:
        {"phase", "seq", "arm", "payload", "answer"}. A last line cut off by a kill is left out."""
        for path in sorted((self.path / ANSWERS).glob("*.jsonl")):
            with path.open("rb") as lines:
                for line in lines:
                    with suppress(orjson.JSONDecodeError):
                        yield orjson.loads(line)

    def readings(self) -> Mapping[tuple[int, str, str], Series]:
        """Probe readings by (arm, source, name).

        Read row group by row group: a day of them takes sixteen bytes a reading, and one group more.
        """
        parts: dict[tuple[int, str, str], list[Series]] = {}
        for path in segment_files(self.path / "probes"):
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    for key, part in _by_key(file.read_row_group(group)):
                        parts.setdefault(key, []).append(part)
        return {key: _joined(parts.pop(key)) for key in sorted(parts)}


def _by_key(table: pa.Table) -> Iterator[tuple[tuple[int, str, str], Series]]:
    """The series of one table, rows in the order they were written in."""
    arms = table.column("arm").to_numpy()
    sources, names = (table.column(name).combine_chunks().dictionary_encode() for name in ("source", "name"))
    source_at, name_at = (each.indices.to_numpy(zero_copy_only=False).astype(np.int64) for each in (sources, names))
    code = (arms.astype(np.int64) * len(sources.dictionary) + source_at) * len(names.dictionary) + name_at
    order = np.argsort(code, kind="stable")
    t_ns, values = table.column("t_ns").to_numpy()[order], table.column("value").to_numpy()[order]
    for rows in np.split(np.arange(len(order)), np.flatnonzero(np.diff(code[order])) + 1):
        if len(rows):
            first = order[rows[0]]
            key = (
                int(arms[first]),
                sources.dictionary[source_at[first]].as_py(),
                names.dictionary[name_at[first]].as_py(),
            )
            yield key, Series(t_ns[rows].copy(), values[rows].copy())


def _joined(parts: list[Series]) -> Series:
    t_ns, values = (np.concatenate(column) for column in zip(*((one.t_ns, one.values) for one in parts), strict=True))
    if len(t_ns) > 1 and bool(np.any(t_ns[1:] < t_ns[:-1])):
        order = np.argsort(t_ns, kind="stable")
        t_ns, values = t_ns[order], values[order]
    return Series(t_ns.astype(np.int64), values.astype(np.float64))


def _event(line: bytes) -> Event | None:
    try:
        fields = orjson.loads(line)
        return Event(t_ns=fields["t_ns"], kind=fields["kind"], detail=fields["detail"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
