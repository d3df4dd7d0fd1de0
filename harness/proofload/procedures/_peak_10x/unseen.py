"""What the lab could not look at: the target has no such thing, or it should have been seen and was not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proofload.procedures._peak_10x.reading import Looks, Reading
from proofload.records import Check
from proofload.verdict.peak import cannot_tell

RESPONSIVENESS, THREADS = "responsiveness", "threads_per_core"


@dataclass(frozen=True, slots=True)
class Unseen:
    """Why a check has nothing to go by."""

    why: str
    settle: str = ""
    """What would show it; empty: there is nothing of the kind to look at, so the check does not apply."""


def unseen(reading: Reading, run: Mapping[str, Any]) -> dict[str, Unseen]:
    """By the name of the check."""
    health, probe = run["target"].get("health") or {}, run["target"].get("probe") or {}
    found: dict[str, Unseen] = {}
    if reading.looks is None or not reading.looks.answered:
        found[RESPONSIVENESS] = _page(reading.looks, str(health.get("live") or health.get("ready") or ""))
    if "runnable_threads" not in reading.process:
        found[THREADS] = _process(probe.get("pid"), started=run["placement"]["runtime"] == "process")
    return found


def as_far_as_seen(check: Check, missing: Mapping[str, Unseen]) -> Iterator[Check]:
    """The check; open, where what it goes by should have been seen; nothing, where it does not apply."""
    reason = missing.get(check.name)
    if reason is None:
        yield check
    elif reason.settle:
        yield cannot_tell(check.name, reason.why, reason.settle, limit=check.limit, unit=check.unit)


def _page(looks: Looks | None, named: str) -> Unseen:
    if not named:
        return Unseen("it has no page to look at" if looks is None else "no page of it ever answered, idle or not")
    why = "was not looked at" if looks is None else "never answered well, idle or not"
    return Unseen(f"the page {named} that its target file names {why}", "a health.live that answers with 200")


def _process(pid: int | None, *, started: bool) -> Unseen:
    if pid is not None:
        return Unseen(
            f"of process {pid}, which its target names, nothing was seen",
            "the number of the process that serves, and a lab on its machine: --set target.probe.pid=PID",
        )
    if started:
        return Unseen(
            "nothing was seen of the process that was started",
            "run it again; where that shows nothing either, `proofload doctor` tells which probes work",
        )
    return Unseen("its process cannot be seen; where it runs here: --set target.probe.pid=PID")
