"""What a soak is drawn as: memory with its trend, bounds and projection to its limit; counts; latency over age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from proofload.records import Result, Status
from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, table
from proofload.report.experiments import Experiment
from proofload.report.pictures.ageing import growth_picture, latency_picture

if TYPE_CHECKING:
    from proofload.report.sections.page import Page
    from proofload.report.view import Recorded, RunView

_MIB = 2.0**20
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 48


def create() -> Experiment:
    return SoakReport()


class SoakReport:
    """See `proofload.report.experiments.Experiment`."""

    title = "What grows with age"

    def reduce(self, record: Recorded, result: Result) -> Any:
        """Everything is in the result's details."""
        del record, result

    def blocks(self, page: Page, run: RunView, place: int) -> tuple[Block, ...]:
        found = run.result.details
        if not found:
            return (Note(f"{run.label}: too little was recorded to draw."),)
        look = page.looks[run.label]
        signals = [signal for signal in found["signals"] if signal["points"]]
        blocks: list[Block] = []
        if signals:
            key = f"growth{place}"
            blocks.append(
                Picture(
                    key=key,
                    draw=lambda: growth_picture(key, signals, found, look),
                    alt=f"{run.label}: " + " ".join(_told(signal) for signal in signals),
                    caption=f"{run.label}. Shaded: the judged time; dashed: the trend with its bounds, for memory that "
                    "grows as far as it leads. Afterwards requests came at another rate, then none.",
                    sketch=_sketch(signals[0]),
                )
            )
        else:
            blocks.append(Note(f"{run.label}: no process was read, so what it holds is unknown."))
        if any(value is not None for value in found["latency"]["p50_ms"]):
            name = f"age{place}"
            blocks.append(
                Picture(
                    key=name,
                    draw=lambda: latency_picture(name, found, look),
                    alt=f"{run.label}: {_latency_told(found)}",
                    caption=f"{run.label}: latency over the age of the run, counted from the dispatch of each request "
                    "(without the client's own lag). Dashed: growth that would matter.",
                )
            )
        if signals:
            blocks.append(_table(run.label, signals))
        return tuple(blocks)


def _told(signal: Mapping[str, Any]) -> str:
    return f"{signal['words']} {_amount(signal, signal['per_s'], per='s')} ({signal['status']}: {signal['why']})."


def _latency_told(found: Mapping[str, Any]) -> str:
    parts = []
    for name, creep in found["latency"]["creep"].items():
        if creep["start_ms"] is not None and creep["growth_ms"] is not None:
            ended = creep["start_ms"] + creep["growth_ms"]
            parts.append(f"{name} from {numbers.significant(creep['start_ms'])} to {numbers.significant(ended)} ms")
    return "; ".join(parts) or "too few answers for a trend of latency"


def _table(label: str, signals: Sequence[Mapping[str, Any]]) -> Block:
    columns = [
        Column(label),
        Column("verdict", "state"),
        Column("grows by", "number"),
        Column("at least", "number"),
        Column("at most", "number"),
        Column("would matter", "number"),
        Column("grows with"),
        Column("until its limit"),
        Column("smallest growth it would have found"),
    ]
    rows = [
        (
            signal["words"],
            Status(signal["status"]),
            *(_amount(signal, signal[key]) for key in ("per_s", "per_s_low", "per_s_high", "margin_per_s")),
            signal["attribution"],
            _left(signal),
            signal["smallest"] or "cannot be told",
        )
        for signal in signals
    ]
    return table("Growth of each resource in the judged time", columns, rows)


def _amount(signal: Mapping[str, Any], per_s: float | None, *, per: str = "min") -> str:
    if per_s is None:
        return numbers.MISSING
    times = 60.0 if per == "min" else 1.0
    if signal["unit"] == "bytes":
        return f"{numbers.significant(per_s * times / _MIB)} MiB/{per}"
    return f"{numbers.significant(per_s * times)} /{per}"


def _left(signal: Mapping[str, Any]) -> str:
    if signal.get("reached"):
        return _reached(signal["reached"])
    if signal["of_limit"] is not None and signal["of_limit"] >= 0.9:
        return f"reached: {numbers.share(signal['of_limit'])} of {signal['limit_told']}"
    exhausted = signal["exhausted_s"]
    if exhausted is None or exhausted[0] is None:
        return ""
    latest = "never" if exhausted[2] is None else numbers.seconds(exhausted[2])
    return f"{numbers.seconds(exhausted[0])} ({numbers.seconds(exhausted[1])}–{latest})"


def _reached(found: Mapping[str, Any]) -> str:
    said = f"reached after {numbers.seconds(found['at_s'])}: killed"
    if not found["foretold_s"]:
        return said
    expected, soonest, latest = (numbers.seconds(at) if at is not None else "never" for at in found["foretold_s"])
    return f"{said}; foretold after {numbers.seconds(found['foretold_by_s'])}: {expected} ({soonest}–{latest})"


def _sketch(signal: Mapping[str, Any]) -> str:
    values = [point[1] for point in signal["points"]]
    step = max(1, -(-len(values) // _WIDTH))
    chosen = values[::step]
    low, high = min(chosen), max(chosen)
    spread = (high - low) or 1.0
    bars = "".join(_BARS[min(len(_BARS) - 1, int((value - low) / spread * len(_BARS)))] for value in chosen)
    return f"{signal['name']} {bars}"
