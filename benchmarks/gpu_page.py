"""The page of gpu_comparison.py, from results and readings: nothing here measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proofload.records import Interval
from proofload.report import numbers

NOT_READ = "not read"
NAMES = {"cpu": "CPU", "cuda": "CUDA", "tensorrt": "TensorRT"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: its result.json, the command that made it, and what else was read of it."""

    result: Mapping[str, Any]
    command: str
    busy_share: float | None = None
    """Mean share of the measured time in which the target's accelerators ran any kernel."""
    clock_held_down: Mapping[str, float] | None = None
    """Mean share of the readings, by reason; reasons that were never seen left out."""


@dataclass(frozen=True, slots=True)
class Found:
    """The whole comparison."""

    made_by: str
    started_at: str
    what: str
    """The model and the SLO, in words."""
    accelerators: Mapping[str, Mapping[str, Any]]
    at_rest_w: Mapping[str, float]
    """By accelerator, before anything of ours ran."""
    environment: Mapping[str, Any]
    capacity: Mapping[str, Measured]
    same_rate: Mapping[str, Measured]
    rate_rps: float | None
    """Of `same_rate`."""
    skipped: Mapping[str, str]


def page(found: Found) -> str:
    """Markdown."""
    blocks = [
        "# On a GPU: what the same server holds, and what it takes",
        f"Made by `{found.made_by}`, {found.started_at}. {found.what}",
        _machine(found),
        "## The most it holds",
        _table(_CAPACITY, [_capacity_row(device, one) for device, one in found.capacity.items()]),
    ]
    if found.rate_rps is not None and found.same_rate:
        blocks += [
            f"## At the same rate, {numbers.significant(found.rate_rps)} requests/s",
            _table(_SAME_RATE, [_same_rate_row(device, one) for device, one in found.same_rate.items()]),
        ]
    blocks += [
        "## What the numbers are",
        "\n".join(f"- {note}" for note in _notes(found)),
        "## Again",
        _commands(found),
    ]
    return "\n\n".join(blocks) + "\n"


def skipped(reasons: Mapping[str, str]) -> list[str]:
    return [f"skipped: {what}: {why}" for what, why in reasons.items()]


_CAPACITY = ("device", "status", "requests/s", "99 % interval", "p50 ms", "p99 ms", "wrong", "GPU busy",
             "GPU J per million correct", "99 % interval", "GPU mean W")  # fmt: skip
_SAME_RATE = ("device", "status", "goodput/s", "p50 ms", "p99 ms", "wrong", "GPU busy", "GPU J per million correct",
              "99 % interval", "GPU mean W")  # fmt: skip


def _capacity_row(device: str, one: Measured) -> Sequence[str]:
    capacity = one.result.get("capacity") or {}
    return (
        NAMES[device],
        str(one.result["status"]),
        numbers.significant(capacity.get("rate_rps")),
        numbers.interval(Interval(*capacity.get("interval", (None, None)))),
        *_latency(one),
        *_energy(one),
    )


def _same_rate_row(device: str, one: Measured) -> Sequence[str]:
    goodput = (_phase(one) or {}).get("goodput_rps")
    return NAMES[device], str(one.result["status"]), numbers.significant(goodput), *_latency(one), *_energy(one)


def _latency(one: Measured) -> Sequence[str]:
    phase = _phase(one)
    if phase is None:
        return numbers.MISSING, numbers.MISSING, numbers.MISSING
    latency = phase["latency_ms"]
    told = [
        ("≥ " if name in latency["censored"] else "") + numbers.significant(latency[name]) for name in ("p50", "p99")
    ]
    return *told, numbers.count(phase["outcomes"]["wrong"])


def _energy(one: Measured) -> Sequence[str]:
    busy = NOT_READ if one.busy_share is None else numbers.share(one.busy_share)
    energy = (one.result.get("cost") or {}).get("energy")
    if energy is None:
        return busy, NOT_READ, "", NOT_READ
    interval = numbers.interval(Interval(*energy["interval"]))
    return busy, numbers.significant(energy["per_million_j"]), interval, numbers.significant(energy["mean_w"])


def _phase(one: Measured) -> Mapping[str, Any] | None:
    """The one that the verdict rests on: the last that was measured."""
    measured = [phase for phase in one.result["phases"] if phase["measured"]]
    return measured[-1] if measured else None


def _machine(found: Found) -> str:
    lines = []
    for index, told in found.accelerators.items():
        facts = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in told.items() if key != "name")
        rest = found.at_rest_w.get(index)
        at_rest = "" if rest is None else f"; {numbers.significant(rest)} W at rest, before anything of ours ran"
        lines.append(f"- accelerator {index}: **{told.get('name', 'unnamed')}** ({facts}{at_rest})")
    libraries = found.environment.get("libraries", {})
    runtime = ", ".join(f"{name} {version}" for name, version in libraries.items() if name.startswith("onnxruntime"))
    lines.append(f"- CPU: {found.environment.get('cpu')}, {found.environment.get('cores')} cores; {runtime}")
    lines += [f"- {line}" for line in skipped(found.skipped)]
    return "\n".join(lines)


def _notes(found: Found) -> Sequence[str]:
    """What a reader must know of the figures, and nothing that was not measured."""
    energy = [
        (device, told)
        for device, one in found.same_rate.items()
        if (told := (one.result.get("cost") or {}).get("energy")) is not None
    ]
    notes = [
        "A request carries an image and is answered by the whole server, copies to the device and back included.",
        "What the chip alone could do is not measured here.",
        "Every answer is compared with the CPU's, to 1e-4; a GPU computes with as many bits as the CPU.",
        "Energy is that of whole boards and of nothing else in the machine: what a CPU takes is not read.",
    ]
    notes += [f"{NAMES[device]}, at the same rate: {told['detail']}" for device, told in energy]
    for device, one in found.capacity.items():
        for reason, share in (one.clock_held_down or {}).items():
            why = reason.replace("_", " ")
            notes.append(
                f"{NAMES[device]}: its clock was held down by {why} in {numbers.share(share)} of the readings."
            )
    return notes


def _commands(found: Found) -> str:
    lines = [one.command for one in (*found.capacity.values(), *found.same_rate.values())]
    return "\n".join(["```", *lines, "```"])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", "---", *("---:" for _ in head[2:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
