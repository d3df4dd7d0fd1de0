"""Targets that die, fall silent, cannot be started or cannot be reached; and a client that runs out of means."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.abuse.conftest import Begin, Ending

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
    assert ending.code == (3 if ending.disturbed else 1)
    assert "refused" in (ending.folder / "report.html").read_text(encoding="utf-8")


def test_a_client_without_file_descriptors_blames_itself_and_not_the_target(begin: Begin, payloads: Path) -> None:
    with subprocess.Popen([sys.executable, str(STUBS / "bad_peers.py")], stdout=subprocess.PIPE, text=True) as peers:
        assert peers.stdout is not None
        target = f"http://127.0.0.1:{json.loads(peers.stdout.readline())['hangs']}/"
        words = ("run", "load", "--target", target, "--payloads", payloads, *WORDS, "--set", "rate_rps=200")
        try:
            ending = begin(*words, before=FEW_DESCRIPTORS).ended()
        finally:
            peers.kill()
    assert (ending.code, ending.result["status"]) == (3, "invalid")
    assert "client-fds" in ending.spoiled
    [remedy] = [item["remedy"] for item in ending.result["validity"] if item["code"] == "client-fds"]
    assert "ulimit -n" in remedy
    assert "file descriptor" in ending.err


def test_a_full_disk_is_told_as_one(begin: Begin, mortal: Callable[..., Path], tmp_path: Path) -> None:
    mounted = ("unshare", "-Urm", "sh", "-c", f'mount -t tmpfs -o size=100k none {tmp_path} && exec "$0" "$@"')
    if subprocess.run([*mounted, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system in a namespace of their own")
    lab = begin("run", "load", "--target", mortal("mute"), *WORDS, before=mounted, folder=tmp_path / "run")
    ending = lab.ended()
    assert ending.code == 3
    assert not ending.out or ending.result["status"]
    assert "error: the run could not be recorded: No space left on device" in ending.err
    assert lab.left_behind() == {}
