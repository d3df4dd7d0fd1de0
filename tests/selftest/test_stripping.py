"""What a diagnosis gets to see tells nothing of what was planted."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from proofload.clock import NS_PER_S
from proofload.records import Event
from proofload.scenarios import load_scenario
from proofload.selftest.plantings import canary_rollback
from proofload.selftest.real import cases
from proofload.selftest.stripping import stripped
from proofload.store.folder import RunFolder, claim
from proofload.testing.synthetic_run import run_json

WORDS = ("--fault", "unstable", "planted", "PROOFLOAD_ALLOW_FAULTS", "defective", "stack trace of it")
COMMAND = ["python", "-m", "server", "--fault", "{fault}"]
FAULTS = sorted({case.fault.partition(":")[0] for case in cases() if "-" in case.fault})


def written(out: Path, fault: str) -> Path:
    """A rollout's folder with the defect in every place where a run leaves it."""
    command = [part.format(fault=fault) for part in COMMAND]
    start = {"command": command, "env": {"PROOFLOAD_ALLOW_FAULTS": "1"}}
    settings = {**canary_rollback.create()[0].settings, "driver.name": "client", "driver.unstable": True}
    scenario = load_scenario("canary-rollback", quick=True, overrides={**settings, "canary": f"/x/{fault}.toml"})
    run = run_json(400.0, 10.0, 1) | {"scenario": scenario.model_dump(mode="json"), "command": " ".join(command)}
    target = {**run["target"], "description": f"defective: {fault}", "source": f"/x/{fault}.toml", "start": start}
    run |= {"target": target | {"name": fault}, "canary": target | {"name": fault}}
    run["placement"]["server"] = {"command": command, "env": start["env"], "pid": 7}
    folder = RunFolder(claim(out), run)
    facts = {"facts": {**run["placement"]["server"], "log": f"stack trace of it: {fault}", "cwd": f"/x/{fault}"}}
    folder.add_event(Event(NS_PER_S, "server", {"what": "started", "arm": 1, "name": fault, **facts}))
    for kind in ("target-died", "server-died", "canary-never-started"):
        evidence = f"stack trace of it: {fault}"
        folder.add_event(Event(2 * NS_PER_S, kind, {"arm": 1, "what": "it ended", "evidence": evidence}))
    folder.add_event(Event(3 * NS_PER_S, "run-complete"))
    folder.close()
    for name in ("report.html", "report.md", "result.json"):
        (out / name).write_text(fault)
    (out / "logs").mkdir(exist_ok=True)
    (out / "logs" / "1-server.log").write_text(f"planted: {fault}")
    return out


@pytest.mark.parametrize("fault", FAULTS)
def test_no_kept_byte_names_the_defect(tmp_path: Path, fault: str) -> None:
    folder = written(tmp_path / "run", fault)
    assert fault.encode() in (folder / "run.json").read_bytes()  # there it was
    stripped(folder)
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert kept
    told = [(str(path), word) for path, text in kept.items() for word in (fault, *WORDS) if word.encode() in text]
    assert not told


def test_what_judging_needs_is_kept(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", "slow-tail")
    stripped(folder)
    scenario = orjson.loads((folder / "run.json").read_bytes())["scenario"]
    assert scenario["driver"] == {"name": "client"}
    assert scenario["canary_version"] == canary_rollback.VERSION
    assert scenario["stages"]


def test_settings_do_not_tell_defective_versions_from_sound_ones() -> None:
    kept = {
        tuple(sorted((key, value) for key, value in case.settings.items() if not key.startswith("driver.")))
        for case in canary_rollback.create()
    }
    assert len(kept) == 1
