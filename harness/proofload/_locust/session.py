"""The lab's side of the Locust front door: runs as the page asks for them, one after the other."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proofload._locust.engines import Watched, gevent_users
from proofload._locust.form import Asked, Field, asked_for
from proofload._locust.joining import Gathering
from proofload._locust.locust_process import LocustProcess
from proofload._locust.on_the_page import OnThePage
from proofload.engine.client import Engines, started
from proofload.errors import MeasurementError, ProofloadError
from proofload.lab import run_scenario
from proofload.progress import Progress
from proofload.records import Result
from proofload.scenarios import Scenario
from proofload.store.folder import claim
from proofload.store.record import RunRecord
from proofload.targets import Target


@dataclass(frozen=True, slots=True)
class Offer:
    """What the page offers, and what all of its runs share."""

    fields: Sequence[Field]
    targets: Mapping[str, Target]
    scenario: Callable[[Mapping[str, Any]], Scenario]
    """The scenario with these of its keys changed. Raises InputError."""
    folder: Callable[[Scenario, Target], Path]
    """Where the next run is to be recorded."""
    device: str
    runtime: str
    command: str
    token: str = ""
    listener: socket.socket | None = None
    """Where workers' samples come in; None: everything is on this host."""
    time_limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that was recorded, whether it came to its end or was stopped."""

    result: Result
    folder: Path


def conduct(offer: Offer, locust: LocustProcess, progress: Progress, *, once: bool) -> Iterator[Ended]:
    """Each run that was recorded, as it ends; on until Locust is gone, or `once`.

    An error ends what is to be done once; otherwise the page tells it, and another run may be asked for.
    """
    while (call := locust.calls.get()) is not None:
        if call["event"] == "alone":
            raise MeasurementError(
                f"{call['came']} of {call['expected']} workers came",
                evidence="the master waited for them as long as --worker-patience says",
                cause="a worker was not started, or cannot reach this host's --bind and --master-port",
                remedy="start `proofload locust --worker --master-host ADDRESS` where the load is to come from, or let "
                "the master wait longer: --worker-patience SECONDS",
            )
        if call["event"] != "start":
            continue
        locust.busy = True
        try:
            yield from _conducted(offer, locust, progress, call)
        except ProofloadError as exc:
            if once:
                raise
            progress.message(f"error: {exc}")
        locust.busy = False
        if once:
            return
    raise locust.loss()


def _conducted(offer: Offer, locust: LocustProcess, progress: Progress, call: Mapping[str, Any]) -> Iterator[Ended]:
    told = {"run": call["run"], "target": "", "status": "no verdict", "report": "", "text": ""}
    try:
        asked = asked_for(call["settings"], offer.fields)
        scenario, target = offer.scenario(asked.overrides), offer.targets[asked.target]
        told["target"] = target.name
        out = claim(offer.folder(scenario, target))
        page = OnThePage(locust, call["run"], progress, offer.time_limit_s)
        try:
            run_scenario(
                scenario,
                [target],
                out=out,
                device=offer.device,
                runtime=offer.runtime,
                command=offer.command,
                progress=page,
                engines=_engines(offer, locust, asked, call, target),
            )
        except KeyboardInterrupt:
            if not page.ended:
                raise
        finally:
            if (out / "result.json").exists():  # whatever ended it: what was recorded is judged
                result = RunRecord(out).result
                told |= {"status": str(result.status), "report": str((out / "report.html").absolute())}
                yield Ended(result, out)
            else:
                _remove_empty(out)
    except ProofloadError as exc:
        told["text"] = exc.what
        raise
    finally:
        locust.tell("finished", **told)


def _remove_empty(out: Path) -> None:
    """A folder that nothing was written into does not stay behind."""
    for folder in (out / "logs", out):
        with suppress(OSError):
            folder.rmdir()


def _engines(offer: Offer, locust: LocustProcess, asked: Asked, call: Mapping[str, Any], target: Target) -> Engines:
    watched = Watched(locust, target)
    if offer.listener is not None:
        workers = Gathering(offer.listener, offer.token, call["run"], call["workers"])
        return Engines(watched.by(workers.ready), here=False)
    if asked.by_users:
        return Engines(watched.by(gevent_users(locust.users, asked.users)), here=False)
    return Engines(watched.by(started))
