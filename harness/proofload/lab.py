"""One run, from a scenario and a target to a run folder with a verdict.

run_scenario     for each target: start it, drive it, record it, judge it, report it
render_report    judge and report again what run folders hold
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic_ns
from typing import Any

import numpy as np

from proofload.bench import LabBench
from proofload.clock import HostClock
from proofload.cost.prices import read_prices
from proofload.discovery import module_for
from proofload.engine.client import Engines, EngineSpec
from proofload.environment import environment
from proofload.errors import RunFolderError, TargetError
from proofload.fleet import Fleet, Grounds
from proofload.judging import judge
from proofload.placing import Cores, kept_off
from proofload.procedures import Procedure
from proofload.progress import Progress
from proofload.records import Event, Result
from proofload.report.sentences import headline
from proofload.report.view import view
from proofload.resources import Layout
from proofload.runtimes import Placement, Server
from proofload.runtimes._filling import known_values
from proofload.scenarios import Scenario
from proofload.store.folder import RunFolder, write_json, write_whole
from proofload.store.record import USERS, RunRecord
from proofload.store.result_json import result_to_json
from proofload.targets import Target
from proofload.watchdog import Watchdog
from proofload.workloads.payloads import Payloads, load_payloads, no_payloads

RUN_SCHEMA = "proofload.run/1"
REPORTS = ("html", "md")
_OWN_ENGINES = Engines()
_NO_TARGET = {"name": "files", "transport": "none", "url": "", "response": {}}


def run_scenario(
    scenario: Scenario,
    targets: Sequence[Target],
    *,
    canary: Target | None = None,
    out: Path,
    device: str,
    runtime: str,
    command: str,
    progress: Progress,
    engines: Engines = _OWN_ENGINES,
    reports: Sequence[str] = REPORTS,
) -> list[Result]:
    """Run the scenario against each target in turn; `out` is an empty folder that exists.

    One target, or none where the scenario does without: `out` is its run folder. Several: each gets a folder of
    its own in `out`, and the report there compares them. An interrupted run is recorded, judged and reported
    before KeyboardInterrupt goes on.
    """
    asked: Sequence[Target | None] = targets or [None]
    folders = [out] if len(asked) == 1 else [out / target.name for target in targets]
    done: list[Path] = []
    try:
        for target, folder in zip(asked, folders, strict=True):
            folder.mkdir(exist_ok=True)
            _run_one(
                scenario,
                target,
                canary,
                folder,
                device=device,
                runtime=runtime,
                command=command,
                progress=progress,
                engines=engines,
            )
            done.append(folder)
    finally:
        recorded = [folder for folder in folders if (folder / "run.json").exists()]
        if recorded:
            progress.message("writing the report")
            _report(recorded, out, reports)
    return [RunRecord(folder).result for folder in done]


def render_report(dirs: Sequence[Path], formats: Sequence[str], baseline: Path | None = None) -> list[Path]:
    """Judge and report again. One folder's report is written into it, that of several beside them.

    A folder that holds run folders stands for them. The baseline's run comes first. Returns what was written.
    """
    folders = [run for folder in dirs for run in _runs_in(folder)]
    if baseline is not None:
        folders = [*_runs_in(baseline), *(folder for folder in folders if folder != baseline)]
    return _report(folders, _common(dirs), formats)


def _run_one(
    scenario: Scenario,
    target: Target | None,
    canary: Target | None,
    out: Path,
    *,
    device: str,
    runtime: str,
    command: str,
    progress: Progress,
    engines: Engines,
) -> None:
    module = module_for("procedure", scenario.procedure)
    procedure: Procedure = module.create()
    limit = None if target is None else target.limits.cpus
    workers = scenario.workers if engines.here else 0
    cores = Cores.divide(sorted(os.sched_getaffinity(0)), workers=workers, target_cpus=limit)
    with ExitStack() as stack:
        watchdog = stack.enter_context(Watchdog())
        stack.enter_context(kept_off(cores.engine))
        logs = out / "logs"
        logs.mkdir(exist_ok=True)
        values = {"timeout_ms": f"{scenario.timeout_s * 1000:.0f}"}
        grounds = Grounds(runtime, device, cores.target, logs, watchdog, values)
        fleet = stack.enter_context(Fleet(grounds))
        server: Server | None = None
        if target is not None and not getattr(module, "STARTS_ITS_TARGETS", False):
            starts = grounds.runtime_for(target) != "external"
            progress.message(f"{target.name}: starting" if starts else f"{target.name}: looking for it")
            server = fleet.start(target)
        described = _described(target, grounds) if server is None else server.target
        pool = None if described is None else _pool(module, scenario, described, out)
        placed = _placement(grounds, cores, target, server)
        folder = RunFolder(out, _run_json(scenario, described, canary, pool=pool, placed=placed, command=command))
        stack.callback(folder.close)
        if pool is not None:
            _keep_users(out, pool[1])
        with _recording_the_end(folder):
            engine = None
            if pool is not None:
                spec = _engine_spec(scenario, pool[0], cores, procedure.peak_rps(scenario))
                engine = stack.enter_context(engines.ready(spec, folder, {**os.environ, **watchdog.environment}))
            up = target if server is None else server.target  # with its ports and addresses
            bench = LabBench(scenario, fleet, folder, engine=engine, progress=progress, target=up, canary=canary)
            if server is not None:
                bench.welcome(server, 0)
            with _death_is_a_finding(folder, bench):
                procedure.conduct(bench, scenario)


def _described(target: Target | None, grounds: Grounds) -> Target | None:
    """A target that its procedure will start: what is known of it before."""
    if target is None:
        return None
    placement = Placement(log_dir=grounds.logs, device=grounds.device)
    return target.filled({**known_values(target, placement), **grounds.values})


def _placement(grounds: Grounds, cores: Cores, target: Target | None, server: Server | None) -> dict[str, Any]:
    cpus = cores.target if server is None else server.cpus
    return {
        "runtime": "none" if target is None else grounds.runtime_for(target),
        "device": grounds.device,
        "engine_cores": list(cores.engine),
        "target_cores": list(cpus),
        "shared_cores": sorted(set(cores.engine) & set(cpus)),
        "server": {} if server is None else dict(server.facts()),
    }


def _keep_users(out: Path, payloads: Payloads) -> None:
    """Which payloads are of the same user; who it is need not be known."""
    if not any(payloads.users):
        return
    numbers: dict[str, int] = {}
    users = [-1 if user is None else numbers.setdefault(user, len(numbers)) for user in payloads.users]
    content = io.BytesIO()
    np.save(content, np.array(users, dtype=np.int32), allow_pickle=False)
    write_whole(out / USERS, content.getvalue())


@contextmanager
def _death_is_a_finding(folder: RunFolder, bench: LabBench) -> Iterator[None]:
    """A target that died under load has failed; one that could not be started or reached before it is an error."""
    try:
        yield
    except TargetError as exc:
        if not bench.has_loaded:
            raise
        told = {"what": exc.what, "evidence": exc.evidence, "cause": exc.cause}
        folder.add_event(Event(monotonic_ns(), "target-died", told))


@contextmanager
def _recording_the_end(folder: RunFolder) -> Iterator[None]:
    """However the run ends, the run folder says so."""
    try:
        yield
    except BaseException as exc:
        folder.add_event(Event(monotonic_ns(), "interrupted", {"reason": _reason(exc)}))
        raise
    folder.add_event(Event(monotonic_ns(), "run-complete"))


def _reason(exc: BaseException) -> str:
    return str(exc) or "interrupted by Ctrl-C" if isinstance(exc, KeyboardInterrupt) else f"{type(exc).__name__}: {exc}"


def _pool(module: Any, scenario: Scenario, target: Target, out: Path) -> tuple[Path, Payloads]:
    path = target.payloads_path or scenario.payloads_path
    if path is None:
        raise no_payloads(target.name)
    if hasattr(module, "requests"):
        path = module.requests(scenario, path, out)
    return path, load_payloads(path)


def _engine_spec(scenario: Scenario, payloads: Path, cores: Cores, peak_rps: float) -> EngineSpec:
    return EngineSpec(
        payloads=str(payloads),
        cores=cores.engine,
        timeout_s=scenario.timeout_s,
        deadline_s=scenario.deadline_s,
        peak_rps=peak_rps,
        salt=str(scenario.seed),
        forcing_header=scenario.forcing_header,
        retry=scenario.retry,
    )


def _run_json(
    scenario: Scenario,
    target: Target | None,
    canary: Target | None,
    *,
    pool: tuple[Path, Payloads] | None,
    placed: Mapping[str, Any],
    command: str,
) -> dict[str, Any]:
    return {
        "schema": RUN_SCHEMA,
        "scenario": scenario.model_dump(mode="json"),
        "quick": scenario.is_quick,
        "target": _NO_TARGET if target is None else target.redacted(),
        "canary": None if canary is None else canary.redacted(),
        "payloads": _described_payloads(pool),
        "placement": placed,
        "prices": _prices(),
        "environment": environment(),
        "host": asdict(HostClock.here()),
        "seed": scenario.seed,
        "command": command,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _described_payloads(pool: tuple[Path, Payloads] | None) -> dict[str, Any]:
    if pool is None:
        return {
            "file": "",
            "count": 0,
            "bodies_sha256": "",
            "mean_bytes": 0.0,
            "with_expectation": 0,
            "unchecked": [],
        }
    path, payloads = pool
    unchecked = [index for index, absent in enumerate(payloads.unexpected) if absent]
    return {
        "file": str(path),
        "count": len(payloads),
        "bodies_sha256": payloads.bodies_sha256(),
        "mean_bytes": sum(map(len, payloads.bodies)) / len(payloads),
        "with_expectation": len(payloads) - len(unchecked),
        "unchecked": [] if len(unchecked) == len(payloads) else unchecked,
    }


def _prices() -> dict[str, Any]:
    """The prices as they stood, so that the cost can be computed again from the run folder alone."""
    found: dict[str, Any] = {}
    for table in reversed(Layout.here().price_tables()):
        for name, price in read_prices(table).items():
            found[name] = {key: value for key, value in asdict(price).items() if key != "name"}
    return found


def _report(folders: Sequence[Path], out: Path, formats: Sequence[str]) -> list[Path]:
    """Judge each folder, write its result, and one report over all (and one in each, when there are several)."""
    views = []
    written: list[Path] = []
    for folder in folders:
        record = RunRecord(folder)
        result = judge(record)
        write_json(folder / "result.json", result_to_json(replace(result, headline=headline(result))))
        if not formats:
            continue
        views.append(view(record))
        if folder != out:
            written += _rendered([views[-1]], folder, formats)
    if views and (len(folders) > 1 or folders[0] == out):
        written += _rendered(views, out, formats)
    return written


def _rendered(views: Sequence[Any], out: Path, formats: Sequence[str]) -> list[Path]:
    written = []
    for name in formats:
        form = module_for("report format", name).create()
        path = out / f"report{form.suffix}"
        write_whole(path, form.render(views).encode("utf-8"))
        written.append(path)
    return written


def _runs_in(folder: Path) -> list[Path]:
    if (folder / "run.json").exists():
        return [folder]
    inside = sorted(path.parent for path in folder.glob("*/run.json"))
    if not inside:
        raise RunFolderError(
            f"{folder} is not a run folder",
            evidence=f"there is no {folder / 'run.json'}, nor one in a folder inside it",
            remedy="name the folder that `proofload run` printed",
        )
    return inside


def _common(dirs: Sequence[Path]) -> Path:
    if len(dirs) == 1:
        return dirs[0]
    parents = {path.absolute().parent for path in dirs}
    return parents.pop() if len(parents) == 1 else Path.cwd()
