"""Targets that die, fall silent, cannot be started or cannot be reached; and a client that runs out of means."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.abuse.conftest import Begin, Ending

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

STUBS = Path(__file__).parent / "stubs"
LAST_WORDS = "its last words: the disk is on fire"
SETTINGS = ("rate_rps=100", "duration_s=2", "warmup_s=0", "arrival=constant", "timeout_s=5")
WORDS = [word for setting in SETTINGS for word in ("--set", setting)]
FEW_DESCRIPTORS = ("sh", "-c", 'ulimit -n 64; exec "$0" "$@"')


@dataclass(frozen=True)
class Endings:
    """Of the labs of this module, which run at the same time: they mostly wait."""

    deaths: Ending
    external: Ending
    external_code: int
    few_descriptors: Ending
    full_disk: Ending | None
    """None where nobody may mount a file system in a namespace of their own."""
    left_behind: list[dict[int, str]]


@contextmanager
def printing_its_ports(*command: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of the test's own, and its first line."""
    with subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server, server.stdout.readline()
        finally:
            server.kill()


@pytest.fixture(scope="module")
def endings(
    begin: Begin, mortal: Callable[..., Path], payloads: Path, tmp_path_factory: pytest.TempPathFactory
) -> Endings:
    load = ["run", "load", *WORDS]
    ends = [word for end in ("exit", "crash", "kill", "mute") for word in ("--target", mortal(end, 60))]
    disk = tmp_path_factory.mktemp("disk")
    mounted = ("unshare", "-Urm", "sh", "-c", f'mount -t tmpfs -o size=100k none {disk} && exec "$0" "$@"')
    may_mount = subprocess.run([*mounted, "true"], capture_output=True, check=False).returncode == 0
    with (
        printing_its_ports(STUBS / "mortal_server.py", 0, "exit", 60) as (server, port),
        printing_its_ports(STUBS / "bad_peers.py") as (_, ports),
    ):
        hanging = f"http://127.0.0.1:{json.loads(ports)['hangs']}/"
        aimed = [*load, "--payloads", payloads, "--target"]
        few = begin(*aimed, hanging, "--set", "rate_rps=200", before=FEW_DESCRIPTORS)
        external = begin(*aimed, f"http://127.0.0.1:{int(port)}/")
        full = begin(*load, "--target", mortal("mute"), before=mounted, folder=disk / "run") if may_mount else None
        deaths = begin(*load, *ends)
        labs = [lab for lab in (deaths, external, few, full) if lab is not None]
        for lab in labs:
            lab.ended()
        external_code = server.wait(20)
    return Endings(
        deaths=deaths.ended(),
        external=external.ended(),
        external_code=external_code,
        few_descriptors=few.ended(),
        full_disk=full.ended() if full is not None else None,
        left_behind=[lab.left_behind() for lab in labs],
    )


@pytest.mark.parametrize(
    ("end", "says"),
    [("exit", "ended with exit status 0"), ("crash", "ended with exit status 7"), ("kill", "ended by SIGKILL")],
)
def test_a_target_that_dies_under_load_has_failed_and_its_last_words_are_told(
    endings: Endings, end: str, says: str
) -> None:
    deaths = endings.deaths
    result = one_of(deaths, end)
    assert (deaths.code, result["status"]) == (1, "fail")
    [check] = [check for check in result["checks"] if check["name"] == "target-stays-up"]
    assert check["status"] == "fail"
    assert f"target {end} died during the run: it {says}" in check["evidence"]
    assert LAST_WORDS in check["evidence"]
    assert check["cause"] == "dies-under-load"
    assert f"{end} died under load: it {says}" in result["headline"][0]
    assert "into “load”, at about 100 requests/s" in result["headline"][0]
    assert LAST_WORDS in (deaths.folder / end / "report.html").read_text(encoding="utf-8")
    [phase] = result["phases"]
    assert sum(phase["outcomes"].values()) == phase["planned"]
    assert phase["outcomes"]["ok"] == 60


def test_a_target_that_falls_silent_times_out(endings: Endings) -> None:
    result = one_of(endings.deaths, "mute")
    [phase] = result["phases"]
    assert (phase["outcomes"]["ok"], phase["outcomes"]["timeout"]) == (60, 140)
    assert [check["status"] for check in result["checks"] if check["name"] == "ok_share"] == ["fail"]


def one_of(ending: Ending, name: str) -> Mapping[str, Any]:
    [found] = [result for result in ending.result["results"] if result["target"]["name"] == name]
    return dict(found)


def test_an_external_target_that_dies_in_mid_run_is_met_with_errors(endings: Endings) -> None:
    ending = endings.external
    assert endings.external_code == 0
    [phase] = ending.result["phases"]
    assert (phase["outcomes"]["ok"], phase["outcomes"]["error"]) == (60, 140)
    assert ending.code == (3 if ending.disturbed else 1)
    assert "refused" in (ending.folder / "report.html").read_text(encoding="utf-8")


def test_a_client_without_file_descriptors_blames_itself_and_not_the_target(endings: Endings) -> None:
    ending = endings.few_descriptors
    assert (ending.code, ending.result["status"]) == (3, "invalid")
    [lacking] = [item for item in ending.result["validity"] if item["code"] == "client-fds"]
    assert not lacking["ok"]
    assert "ulimit -n" in lacking["remedy"]
    assert lacking["detail"].endswith("had no free file descriptor")


def test_a_full_disk_is_told_as_one(endings: Endings) -> None:
    ending = endings.full_disk
    if ending is None:
        pytest.skip("this machine lets nobody mount a file system in a namespace of their own")
    assert ending.code in {2, 3}  # 2: recorded, and no room for its report
    assert not ending.out or ending.result["status"]
    assert "No space left on device" in ending.err


def test_none_of_them_leaves_anything_behind(endings: Endings) -> None:
    assert not any(endings.left_behind)
