"""Targets that die, fall silent, cannot be started or cannot be reached; and a client that runs out of means."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.abuse.conftest import Begin, Ending, Lab

pytestmark = pytest.mark.real

STUBS = Path(__file__).parent / "stubs"
LAST_WORDS = "its last words: the disk is on fire"
SETTINGS = ("rate_rps=100", "duration_s=2", "warmup_s=0", "arrival=constant", "timeout_s=0.5")
WORDS = [word for setting in SETTINGS for word in ("--set", setting)]
FEW_DESCRIPTORS = ("sh", "-c", 'ulimit -n 64; exec "$0" "$@"')


@pytest.fixture(scope="module")
def deaths(begin: Begin, mortal: Callable[..., Path]) -> Iterator[Ending]:
    """One command, each of its targets with an end of its own after 60 requests."""
    ends = [word for end in ("exit", "crash", "kill", "mute") for word in ("--target", mortal(end, 60))]
    lab = begin("run", "load", *ends, *WORDS)
    yield lab.ended()
    assert lab.left_behind() == {}


@pytest.mark.parametrize(
    ("end", "says"),
    [("exit", "ended with exit status 0"), ("crash", "ended with exit status 7"), ("kill", "ended by SIGKILL")],
)
def test_a_target_that_dies_under_load_has_failed_and_its_last_words_are_told(
    deaths: Ending, end: str, says: str
) -> None:
    result = one_of(deaths, end)
    assert (deaths.code, result["status"]) == (1, "fail")
    [check] = [check for check in result["checks"] if check["name"] == "target-stays-up"]
    assert check["status"] == "fail"
    assert f"target {end} died during the run: it {says}" in check["evidence"]
    assert LAST_WORDS in check["evidence"]
    assert LAST_WORDS in (deaths.folder / end / "report.html").read_text(encoding="utf-8")
    [phase] = result["phases"]
    assert sum(phase["outcomes"].values()) == phase["planned"]
    assert phase["outcomes"]["ok"] == 60


def test_a_target_that_falls_silent_times_out(deaths: Ending) -> None:
    result = one_of(deaths, "mute")
    [phase] = result["phases"]
    assert (phase["outcomes"]["ok"], phase["outcomes"]["timeout"]) == (60, 140)
    assert [check["status"] for check in result["checks"] if check["name"] == "ok_share"] == ["fail"]


def one_of(ending: Ending, name: str) -> Mapping[str, Any]:
    [found] = [result for result in ending.result["results"] if result["target"]["name"] == name]
    return dict(found)


def test_an_external_target_that_dies_in_mid_run_is_met_with_errors(begin: Begin, payloads: Path) -> None:
    command = [sys.executable, str(STUBS / "mortal_server.py"), "0", "exit", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        target = f"http://127.0.0.1:{int(server.stdout.readline())}/"
        try:
            ending = begin("run", "load", "--target", target, "--payloads", payloads, *WORDS).ended()
            assert server.poll() == 0
        finally:
            server.kill()
    [phase] = ending.result["phases"]
    assert (phase["outcomes"]["ok"], phase["outcomes"]["error"]) == (60, 140)
    assert ending.code == 1
    assert "refused" in (ending.folder / "report.html").read_text(encoding="utf-8")
