"""What became of a stream's messages while its workers were stopped, killed and joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.delivery import accounts, deliveries
from proofload.clock import NS_PER_MS, NS_PER_S
from proofload.records import Event, Outcome, Phase, Result
from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, table
from proofload.report.pictures.delivery import Stream, stream_picture

if TYPE_CHECKING:
    from proofload.report.sections.page import Page
    from proofload.report.view import Recorded, RunView

_BINS = 150
_POINTS = 2500
_MARKED = {
    "stop": "SIGTERM",
    "halt": "halted",
    "kill": "SIGKILL",
    "join": "second worker",
    "started": "ready",
    "broker-stop": "broker SIGTERM",
    "broker-started": "broker ready",
}


def create() -> DeliveryExperiment:
    return DeliveryExperiment()


class DeliveryExperiment:
    title = "Messages while workers come and go"

    def reduce(self, record: Recorded, result: Result) -> Stream | None:
        phases = [phase for phase in record.phases if phase.measured]
        if not phases or "stretches" not in result.details:
            return None
        begin = phases[0].start_ns
        rows = np.concatenate([record.samples(phase.index).table for phase in phases])
        end_s = max((phase.start_ns - begin) / NS_PER_S + phase.duration_s for phase in phases)
        edges = np.linspace(0.0, max(end_s, 1.0), max(2, min(_BINS, round(end_s * 4))) + 1)
        told = accounts(record.events)
        keys = int(result.details["keys"])
        tables = ((phase.index, phase.start_ns, record.samples(phase.index).table) for phase in record.phases)
        lost = [one.lost_ns for one in deliveries(tables, told, keys=keys)]
        again = [(account.t_ns, account.counts.get("duplicated", 0)) for account in told]
        answered = rows[(rows["done_ns"] > 0) & ~np.isin(rows["outcome"], (Outcome.TIMEOUT, Outcome.UNSENT))]
        return Stream(
            edges_s=edges,
            sent_rps=_rate(rows["sent_ns"][rows["sent_ns"] > 0], begin, edges),
            answered_rps=_rate(answered["done_ns"], begin, edges),
            again_rps=_rate(np.repeat(*_columns(again)), begin, edges),
            waits=_waits(answered, begin),
            lost_s=(np.concatenate(lost) - begin) / NS_PER_S,
            overtaken_s=np.array([(one.t_ns - begin) / NS_PER_S for one in told if one.counts.get("reordered")]),
            phases=tuple(_span(phase, begin) for phase in phases),
            marks=tuple(_marks(record.events, begin)),
        )

    def blocks(self, page: Page, run: RunView, place: int) -> tuple[Block, ...]:
        found, stream = run.result.details, run.experiment
        if stream is None:
            return (Note(f"{run.label}: no message was sent in a judged phase, so there is nothing to draw."),)
        key, look = f"delivery{place}", page.looks[run.label]
        return (
            Picture(
                key=key,
                draw=lambda: stream_picture(key, stream, look),
                alt=f"{run.label}: messages sent and answered over time, and how long each waited. {_told(found)}",
                caption=f"{run.label}: messages sent and answered (hatched: answered again); below, how long messages "
                "waited for their first answer, by when they were sent (a sample of them). Shaded: phases. "
                "Dashed: what was done to a worker, or to the broker.",
            ),
            _stretches(found),
            _facts(found),
        )


def _rate(instants_ns: NDArray[np.int64], begin: int, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.histogram((instants_ns - begin) / NS_PER_S, edges)[0]
    return np.asarray(counts / float(edges[1] - edges[0]), dtype=np.float64)


def _columns(pairs: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _waits(answered: NDArray[Any], begin: int) -> NDArray[np.float64]:
    some = answered[:: max(1, len(answered) // _POINTS)]
    sent_s = (some["sent_ns"] - begin) / NS_PER_S
    waited_ms = np.maximum(some["done_ns"] - some["sent_ns"], 1) / NS_PER_MS
    return np.stack([sent_s, waited_ms], axis=1)


def _span(phase: Phase, begin: int) -> tuple[float, float, str]:
    start_s = (phase.start_ns - begin) / NS_PER_S
    return start_s, start_s + phase.duration_s, phase.name


def _marks(events: Sequence[Event], begin: int) -> Iterator[tuple[float, str]]:
    for event in events:
        if event.kind == "disturbance":
            yield (event.t_ns - begin) / NS_PER_S, _MARKED.get(str(event.detail["what"]), "")


def _told(found: Mapping[str, Any]) -> str:
    told = [
        f"{one['name']}: {numbers.count(one['sent'])} sent, {numbers.count(one['lost'])} lost, "
        f"{numbers.count(one['duplicated'])} answers beyond the first, {numbers.count(one['reordered'])} out of order"
        for one in found["stretches"]
    ]
    return f"{'; '.join(told)}."


def _stretches(found: Mapping[str, Any]) -> Block:
    columns = [
        Column("phase"),
        Column("sent", "number"),
        Column("answered", "number"),
        Column("of them late", "number"),
        Column("lost", "number"),
        Column("still open", "number"),
        Column("beyond the first", "number"),
        Column("further back than allowed", "number"),
        Column("out of order", "number"),
        Column("under way when it was stopped", "number"),
        Column("longest time without an answer (s)", "number"),
    ]
    rows = [
        (
            one["name"],
            numbers.count(one["sent"]),
            numbers.count(one["answered"]),
            numbers.count(one["late"]),
            numbers.count(one["lost"]),
            numbers.count(one["waiting"]),
            numbers.count(one["duplicated"]),
            numbers.count(one["beyond_reach"]),
            numbers.count(one["reordered"]),
            numbers.count(one["under_way"]),
            numbers.significant(one["stood_still_s"]),
        )
        for one in found["stretches"]
    ]
    return table(
        "Phase by phase: messages by the phase they were sent in, answers by the phase they came in", columns, rows
    )


def _facts(found: Mapping[str, Any]) -> Block:
    reach = ", ".join(f"{one['name']}: {numbers.plain(one['reach_s'])} s" for one in found["stretches"] if one["what"])
    rows = [
        ("guarantee", str(found["guarantee"])),
        ("broker", str(found["broker"])),
        ("message keys", numbers.count(found["keys"])),
        ("how far back a handover may repeat", reach or "nothing was handed over"),
    ]
    session_s = found.get("session_s")
    if session_s is not None:
        rows.append(("the group gives up a silent worker after", f"{numbers.plain(session_s)} s"))
    return table("What it was held to", ["what", Column("value")], rows)
