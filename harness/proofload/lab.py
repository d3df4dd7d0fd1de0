"""One run, from a scenario and a target to a run folder with a verdict.

run_scenario     for each target: start it, drive it, record it, judge it, report it
render_report    judge and report again what run folders hold
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic_ns
from typing import Any

from proofload.bench import LabBench
from proofload.clock import HostClock
from proofload.cost.prices import read_prices
from proofload.discovery import module_for
from proofload.engine.client import EngineSpec, started
from proofload.environment import environment
from proofload.errors import RunFolderError, TargetError
from proofload.judging import judge
from proofload.placing import Cores, kept_off
from proofload.probes import Subject
from proofload.probes._loop import ProbeLoop
from proofload.procedures import Procedure
from proofload.progress import Progress
from proofload.records import Event, Result
from proofload.report.sentences import headline
from proofload.report.view import view
from proofload.resources import Layout
from proofload.runtimes import Placement, Runtime, Server
from proofload.runtimes._choose import default_runtime
from proofload.scenarios import Scenario
from proofload.store.folder import RunFolder, write_json, write_whole
from proofload.store.record import RunRecord
from proofload.store.result_json import result_to_json
from proofload.targets import Target
from proofload.watchdog import Watchdog
from proofload.workloads.payloads import Payloads, load_payloads, no_payloads

RUN_SCHEMA = "proofload.run/1"
REPORTS = ("html", "md")


def run_scenario(
    scenario: Scenario,
    targets: Sequence[Target],
    *,
    out: Path,
    device: str,
    runtime: str,
    command: str,
    progress: Progress,
) -> list[Result]:
    """Run the scenario against each target in turn; `out` is an empty folder that exists.

    One target: `out` is its run folder. Several: each gets a folder of its own in `out`, and the report there
    compares them. An interrupted run is recorded, judged and reported before KeyboardInterrupt goes on.
    """
    folders = [out] if len(targets) == 1 else [out / target.name for target in targets]
    done: list[Path] = []
    try:
        for target, folder in zip(targets, folders, strict=True):
            folder.mkdir(exist_ok=True)
            _run_one(scenario, target, folder, device=device, runtime=runtime, command=command, progress=progress)
            done.append(folder)
    finally:
        recorded = [folder for folder in folders if (folder / "run.json").exists()]
        if recorded:
            progress.message("writing the report")
            _report(recorded, out, REPORTS)
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
    scenario: Scenario, target: Target, out: Path, *, device: str, runtime: str, command: str, progress: Progress
) -> None:
    procedure: Procedure = module_for("procedure", scenario.procedure).create()
    chosen = default_runtime(target) if runtime == "auto" else runtime
    live: Runtime = module_for("runtime", chosen).create()
    cores = Cores.divide(sorted(os.sched_getaffinity(0)), workers=scenario.workers, target_cpus=target.limits.cpus)
    with ExitStack() as stack:
        watchdog = stack.enter_context(Watchdog())
        stack.enter_context(kept_off(cores.engine))
        logs = out / "logs"
        logs.mkdir(exist_ok=True)
        progress.message(f"{target.name}: starting" if chosen != "external" else f"{target.name}: looking for it")
        asked = target.filled({"timeout_ms": f"{scenario.timeout_s * 1000:.0f}"})
        placement = Placement(log_dir=logs, cpus=cores.target, device=device, watchdog=watchdog)
        server = stack.enter_context(live.start(asked, placement))
        pool = _pool(scenario, server.target)
        placed: dict[str, Any] = {
            "runtime": chosen,
            "device": device,
            "engine_cores": list(cores.engine),
            "target_cores": list(server.cpus),
            "shared_cores": sorted(set(cores.engine) & set(server.cpus)),
            "server": dict(server.facts()),
        }
        spec = _engine_spec(scenario, server.target, cores, procedure.peak_rps(scenario))
        folder = RunFolder(out, _run_json(scenario, server.target, pool, placed, command))
        stack.callback(folder.close)
        for instant, at_ns in sorted(server.timeline.items(), key=lambda item: item[1]):
            folder.add_event(Event(at_ns, "target", {"instant": instant.removesuffix("_ns")}))
        with _recording_the_end(folder):
            stack.enter_context(_probing(server, folder))
            engine = stack.enter_context(started(spec, folder, {**os.environ, **watchdog.environment}))
            with _death_is_a_finding(folder):
                procedure.conduct(LabBench(engine, folder, server, progress), scenario)


@contextmanager
def _death_is_a_finding(folder: RunFolder) -> Iterator[None]:
    """A target that died under load has failed; one that could not be reached before it is an error."""
    try:
        yield
    except TargetError as exc:
        folder.add_event(Event(monotonic_ns(), "target-died", {"what": exc.what, "evidence": exc.evidence}))


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
    return "interrupted by Ctrl-C" if isinstance(exc, KeyboardInterrupt) else f"{type(exc).__name__}: {exc}"


@contextmanager
def _probing(server: Server, folder: RunFolder) -> Iterator[None]:
    subject = Subject(arm=0, pids=server.pids, metrics_url=server.target.metrics_url or "")
    probes = []
    for name, found in _probes():
        probe = found.create(subject)
        if probe is not None:
            probes.append((name, probe))
    with ProbeLoop(probes, folder.add_readings, folder.add_event):
        yield


def _probes() -> Iterator[tuple[str, Any]]:
    from proofload.discovery import implementations

    for name, found in implementations("probe").items():
        if found.module is not None:
            yield name, found.module


def _pool(scenario: Scenario, target: Target) -> tuple[Path, Payloads]:
    path = target.payloads_path or scenario.payloads_path
    if path is None:
        raise no_payloads(target.name)
    return path, load_payloads(path)


def _engine_spec(scenario: Scenario, target: Target, cores: Cores, peak_rps: float) -> EngineSpec:
    return EngineSpec(
        transport=target.transport,
        url=target.url,
        payloads=str(target.payloads_path or scenario.payloads_path),
        cores=cores.engine,
        headers=target.resolved_headers(),
        connections=scenario.connections,
        timeout_s=scenario.timeout_s,
        deadline_s=scenario.deadline_s,
        request=target.request_table,
        response=target.response.model_dump(exclude_none=True),
        peak_rps=peak_rps,
    )


def _run_json(
    scenario: Scenario, target: Target, pool: tuple[Path, Payloads], placed: Mapping[str, Any], command: str
) -> dict[str, Any]:
    path, payloads = pool
    return {
        "schema": RUN_SCHEMA,
        "scenario": scenario.model_dump(mode="json"),
        "quick": scenario.is_quick,
        "target": target.redacted(),
        "payloads": {
            "file": str(path),
            "count": len(payloads),
            "mean_bytes": sum(map(len, payloads.bodies)) / len(payloads),
            "with_expectation": len(payloads) - sum(payloads.unexpected),
            "unchecked": []
            if all(payloads.unexpected)
            else [index for index, absent in enumerate(payloads.unexpected) if absent],
        },
        "placement": placed,
        "prices": _prices(),
        "environment": environment(),
        "host": asdict(HostClock.here()),
        "seed": scenario.seed,
        "command": command,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
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
        views.append(view(record))
        if folder != out:
            written += _rendered([views[-1]], folder, formats)
    if len(folders) > 1 or folders[0] == out:
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
