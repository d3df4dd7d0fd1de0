"""However a run ends: what was recorded can be read, the exit code is right, and nothing is left behind.

The target has a child in a session of its own (and where the lab is killed, ignores SIGTERM), so that only a
thorough lab gets rid of both.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from proofload.cli.app import invoke
from proofload.store.record import RunRecord
from proofload.store.segments import segment_files
from proofload.verdict.codes import LATE_CLIENT

if TYPE_CHECKING:
    from tests.abuse.conftest import Begin, Ending, Lab

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SETTINGS = ("rate_rps=100", "warmup_s=0", "arrival=constant", "timeout_s=10", "slo.ok_share=0.9")
LIMITS = tuple(f"slo.{name}_ms=9000" for name in ("p50", "p95", "p99"))
"""So many labs on one machine slow their targets, too, and that is not what is asked here."""
ENOUGH = 150
"""Samples on disk, when the end comes."""


def killed(lab: Lab, word: str) -> None:
    """SIGKILL to the one relative whose command line has the word."""
    [pid] = [pid for pid, command in lab.relatives().items() if word in command]
    os.kill(pid, signal.SIGKILL)


def signalled(*numbers: signal.Signals) -> Callable[[Lab], None]:
    def act(lab: Lab) -> None:
        for number in numbers:
            lab.process.send_signal(number)
            time.sleep(0.3)

    return act


def ctrl_c_on_a_terminal(lab: Lab) -> None:
    """The terminal tells everybody in the foreground group."""
    os.killpg(lab.process.pid, signal.SIGINT)


ACTS: Mapping[str, tuple[Callable[[Lab], None], int, str]] = {
    "the lab is killed": (signalled(signal.SIGKILL), -signal.SIGKILL, "the lab was killed"),
    "Ctrl-C": (ctrl_c_on_a_terminal, 130, "Ctrl-C"),
    "Ctrl-C, and again": (signalled(signal.SIGINT, signal.SIGINT, signal.SIGINT), 130, ""),
    "SIGTERM": (signalled(signal.SIGTERM), 130, "interrupted by SIGTERM"),
    "SIGHUP": (signalled(signal.SIGHUP), 130, "interrupted by SIGHUP"),
    "an engine process is killed": (lambda lab: killed(lab, "proofload.engine"), 3, "ended in mid-run"),
    "the target is killed": (lambda lab: killed(lab, "mortal_server.py"), 1, ""),
    "the watchdog is killed": (lambda lab: killed(lab, "_watchdog_program"), 0, ""),
}


def on_disk(folder: Path) -> int:
    """Samples that a kill at this instant would leave."""
    return sum(pq.read_metadata(path).num_rows for path in segment_files(folder / "samples"))


@dataclass
class Aftermath:
    """What was found after an ending, and how many samples were on disk before it."""

    ending: Ending
    samples_before: int
    left_behind: dict[int, str]


@pytest.fixture(scope="module")
def aftermaths(begin: Begin, mortal: Callable[..., Path]) -> Mapping[str, Aftermath]:
    """All at once: they mostly wait."""
    words = [word for setting in (*SETTINGS, *LIMITS) for word in ("--set", setting)]

    def one(name: str) -> Aftermath:
        act, code, _ = ACTS[name]
        duration_s = 8 if code == 0 else 60  # who is not stopped has to end by itself
        target = mortal("stubborn" if code == -signal.SIGKILL else "never")
        lab = begin("run", "load", "--target", target, *words, "--set", f"duration_s={duration_s}")
        lab.wait_until(lambda: on_disk(lab.folder) >= ENOUGH)
        before = on_disk(lab.folder)
        act(lab)
        return Aftermath(lab.ended(), before, lab.left_behind())

    with ThreadPoolExecutor(len(ACTS)) as pool:
        return dict(zip(ACTS, pool.map(one, ACTS), strict=True))


@pytest.mark.parametrize("name", ACTS)
def test_nothing_is_left_behind(aftermaths: Mapping[str, Aftermath], name: str) -> None:
    assert aftermaths[name].left_behind == {}


@pytest.mark.parametrize("name", ACTS)
def test_the_exit_code_is_that_of_the_ending(aftermaths: Mapping[str, Aftermath], name: str) -> None:
    ending = aftermaths[name].ending
    if ending.code == 3 and ACTS[name][1] == 0:  # so many labs on one machine disturb one another, and say so
        assert ending.spoiled <= LATE_CLIENT
    else:
        assert ending.code == ACTS[name][1], ending.err


@pytest.mark.parametrize("name", ACTS)
def test_what_was_recorded_can_be_reported(
    aftermaths: Mapping[str, Aftermath], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, reason = aftermaths[name].ending.folder, ACTS[name][2]
    assert invoke(["report", str(folder), "--format", "html", "--format", "json"]) == 0, capfd.readouterr().err
    record = RunRecord(folder)
    spoiled = {item.code: item.detail for item in record.result.validity if not item.ok}
    if ACTS[name][1] in {0, 1}:
        assert "interrupted" not in spoiled
    else:
        assert record.result.status == "invalid"
        assert reason in spoiled["interrupted"]
    assert spoiled.keys() <= {"interrupted", "conservation", "unsent"} | LATE_CLIENT
    [phase] = record.result.phases
    assert sum(phase.outcomes.values()) == phase.planned
    assert phase.outcomes["ok"] >= ENOUGH
    assert len(record.samples()) >= aftermaths[name].samples_before


@pytest.mark.parametrize("name", [name for name, act in ACTS.items() if act[1] >= 0 and "again" not in name])
def test_standard_output_is_the_result_alone(aftermaths: Mapping[str, Aftermath], name: str) -> None:
    ending = aftermaths[name].ending
    assert ending.result["schema"] == "proofload.result/1"
    assert ending.result["status"] in {0: {"pass"}, 1: {"fail"}}.get(ending.code, {"invalid", "inconclusive"})


def test_a_killed_target_has_failed_to_stay_up(aftermaths: Mapping[str, Aftermath]) -> None:
    result = aftermaths["the target is killed"].ending.result
    [check] = [check for check in result["checks"] if check["name"] == "target-stays-up"]
    assert check["status"] == "fail"
    assert "SIGKILL" in check["evidence"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_end_while_the_target_starts_leaves_nothing_behind(
    begin: Begin, tmp_path: Path, number: signal.Signals
) -> None:
    target = tmp_path / "slow.target.toml"
    target.write_text(
        'name = "slow"\ntransport = "http"\nurl = "http://127.0.0.1:{port}/"\npayloads = "p.jsonl"\n'
        '[start]\ncommand = ["sh", "-c", "(setsid sleep 300 &) ; echo starting; sleep 300"]\n',
        encoding="utf-8",
    )
    (tmp_path / "p.jsonl").write_text('{"body": 1}\n', encoding="utf-8")
    lab = begin("run", "load", "--target", target)
    lab.wait_until(lambda: any("starting" in log.read_text() for log in lab.folder.glob("logs/*.log")))
    lab.process.send_signal(number)
    ending = lab.ended()
    assert ending.code == (-signal.SIGKILL if number is signal.SIGKILL else 130)
    assert ending.out == ""
    assert lab.left_behind() == {}
