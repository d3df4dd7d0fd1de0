"""What there is to say of this machine before anything is measured on it. Reads, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from proofload.doctor import limits, machine, software, timing
from proofload.doctor.findings import Finding, Grade

__all__ = ["Finding", "Grade", "conclusion", "examine"]


def examine() -> Iterator[tuple[str, Sequence[Finding]]]:
    """The examination, section by section, each as it is done."""
    yield (
        "machine",
        _asked(
            machine.cores,
            machine.memory,
            machine.shared_memory,
            machine.accelerators,
            machine.governor,
            machine.steal,
            machine.load_average,
        ),
    )
    yield "limits", _asked(limits.open_files, limits.local_ports, limits.time_wait)
    yield "clock", _asked(timing.clock_source, timing.clock_step, timing.timer)
    yield "software", _asked(software.python, software.libraries)
    yield "parts", list(software.parts())
    yield "serving", _asked(software.onnx_providers, software.kafka_library, software.docker_engine, software.fixtures)


def conclusion(found: Sequence[Finding]) -> list[str]:
    """What to make of it, and what to type next."""
    broken = [one for one in found if one.grade is Grade.BROKEN]
    if broken:
        return [f"proofload cannot work here: {', '.join(one.name for one in broken)}", f"next: {broken[0].remedy}"]
    doubts = [one.name for one in found if one.grade is Grade.DOUBT]
    said = f"fit to measure, with reserve: {', '.join(doubts)}" if doubts else "fit to measure"
    return [said, "next: proofload run load --quick"]


def _asked(*questions: Callable[[], Finding]) -> list[Finding]:
    """The answers; a question that cannot be answered here is a note and spoils no other."""
    answers: list[Finding] = []
    for question in questions:
        try:
            answers.append(question())
        except Exception as exc:  # noqa: BLE001  the doctor examines broken machines
            name = question.__name__.replace("_", " ")
            answers.append(Finding(name, Grade.NOTE, f"cannot be told: {type(exc).__name__}: {exc}"))
    return answers
