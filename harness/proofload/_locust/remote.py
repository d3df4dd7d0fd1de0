"""An engine elsewhere, as the recorder sees it: orders go out over a channel, words and samples come in.

The monotonic clocks of two hosts are never subtracted. A worker on another host says at which instant of its own
clock it began; each of its instants is then given as so much after the beginning that the master planned. Durations
are left as the worker took them; only how the worker's beginning lies to the master's is unknown, by as much as the
order took to arrive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload._locust.channel import Channel, Said
from proofload.clock import NS_PER_S
from proofload.engine.schedule import PhasePlan, share
from proofload.errors import InputError, MeasurementError
from proofload.records import SAMPLE_DTYPE
from proofload.store.segments import unpacked

MOST_ROWS = 500_000
"""Of one segment that a worker ships."""
INSTANTS = ("intended_ns", "dispatched_ns", "sent_ns", "done_ns")


@dataclass(frozen=True, slots=True)
class Part:
    """Which requests of a schedule are its own: those of engine processes first … first + count, of `of`."""

    first: int
    count: int
    of: int
    payloads: int


class RemoteSource:
    """See `proofload.engine.source.Source`."""

    def __init__(
        self, number: int, channel: Channel, *, who: str, part: Part | None, same_clock: bool, lasting: bool = False
    ) -> None:
        """`part`: None for one whose plan only it knows. `same_clock`: it runs on this host. `lasting`: the channel
        outlives the run."""
        self.number = number
        self._channel = channel
        self._who = who
        self._part = part
        self._same_clock = same_clock
        self._lasting = lasting
        self._shift_ns = 0
        self._names: list[tuple[str, str]] = []
        self._rows: list[NDArray[np.void]] = []
        self._plans: list[tuple[PhasePlan, int]] = []
        self._start_ns = 0
        self._last: dict[tuple[int, int], int] = {}

    def fileno(self) -> int:
        return self._channel.fileno()

    def order(self, message: Mapping[str, Any]) -> None:
        if message["do"] == "phases":
            self._plan([PhasePlan(**phase) for phase in message["phases"]], message["start_ns"])
            message = message if self._same_clock else {**message, "start_ns": None}
        if message["do"] == "open":
            message = {**message, "spec": _without_files(message["spec"])}
        self._channel.send(message)

    def hear(self) -> list[dict[str, Any]] | None:
        arrived = self._channel.arrived()
        if arrived is None:
            return None
        try:
            return [message for said in arrived for message in self._heard(said)]
        except (ValueError, KeyError, TypeError):  # what speaks there is no engine of this version
            return None

    def drain(self) -> NDArray[np.void]:
        rows, self._rows = self._rows, []
        return rows[0] if len(rows) == 1 else np.concatenate(rows) if rows else np.empty(0, SAMPLE_DTYPE)

    def names(self) -> list[tuple[str, str]]:
        return self._names

    def write_off(self, ended_ns: int) -> Mapping[str, int] | None:
        """What it did after its last report nobody knows: those requests count as never sent."""
        if self._part is None:
            return None
        planned: dict[str, int] = {}
        for plan, start_ns in self._plans:
            for worker in range(self._part.first, self._part.first + self._part.count):
                told = self._last.get((plan.index, worker), -1)
                for rows in self._due(plan, start_ns, worker, ended_ns):
                    planned[str(plan.index)] = planned.get(str(plan.index), 0) + len(rows)
                    self._rows.append(rows[rows["seq"] > told])
        return planned

    def loss(self, logs: Path) -> MeasurementError:
        return MeasurementError(
            f"{self._who} vanished in mid-run",
            evidence=f"the connection to it ended; its own log is on its host, the lab's are in {logs}",
            cause="its process was killed, or its host or the network between went away",
            remedy="start it again; what it had not reported is recorded as unsent, and the run is no pass",
        )

    def close(self) -> None:
        if not self._lasting:
            self._channel.close()

    def _plan(self, plans: list[PhasePlan], start_ns: int) -> None:
        self._start_ns = start_ns
        self._plans = []
        for plan in plans:
            self._plans.append((plan, start_ns))
            start_ns += round(plan.duration_s * NS_PER_S)

    def _heard(self, said: Said) -> Iterator[dict[str, Any]]:
        message = said.message
        match message["event"]:
            case "begun":
                self._shift_ns = self._start_ns - int(message["start_ns"])
            case "name":
                self._names.append((str(message["of"]), str(message["text"])))
            case "samples":
                self._take(unpacked(said.beside, most_rows=MOST_ROWS))
            case "rows":  # from a process of this host: not worth packing
                self._take(np.frombuffer(said.beside, SAMPLE_DTYPE).copy())
            case "failed":
                yield {**message, "what": f"{self._who}: {message['what']}"}
            case _:
                if "t_ns" in message:
                    message["t_ns"] += self._shift_ns
                yield message

    def _take(self, rows: NDArray[np.void]) -> None:
        if not len(rows):
            return
        for name in INSTANTS:
            column = rows[name]
            column[column > 0] += self._shift_ns
        for phase, worker in np.unique(rows[["phase", "worker"]]).tolist():
            own = rows["seq"][(rows["phase"] == phase) & (rows["worker"] == worker)]
            self._last[phase, worker] = max(self._last.get((phase, worker), -1), int(own.max()))
        self._rows.append(rows)

    def _due(self, plan: PhasePlan, start_ns: int, worker: int, ended_ns: int) -> Iterator[NDArray[np.void]]:
        """What of its plan was due until then, as samples of requests that were never sent."""
        assert self._part is not None  # asked before
        for block in share(plan, payloads=self._part.payloads, worker=worker, workers=self._part.of):
            due = block.due_ns + start_ns <= ended_ns
            rows = np.zeros(int(np.count_nonzero(due)), SAMPLE_DTYPE)
            rows["seq"], rows["payload"], rows["mirror"] = block.seq[due], block.payload[due], block.mirror[due]
            rows["intended_ns"] = block.due_ns[due] + start_ns
            rows["status"], rows["attempts"], rows["score"] = -1, 1, np.nan
            rows["phase"], rows["worker"] = plan.index, worker
            yield rows
            if not due.all():
                return


def _without_files(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """How an arm is reached, for one who cannot read this host's files, or cannot start a compiler."""
    if spec["payloads"]:
        raise InputError(
            "an arm has payloads of its own", remedy="run this scenario with processes of one host: proofload run"
        )
    proto = spec["request"].get("proto")
    if not str(spec["transport"]).startswith("grpc") or proto in {None, "reflection"}:
        return spec
    from proofload.transports._grpc.schema import descriptors

    return {**spec, "request": {**spec["request"], "descriptors": descriptors(Path(proto))}}
