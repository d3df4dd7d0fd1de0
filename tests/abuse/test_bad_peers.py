"""Targets that misbehave on the wire: each ends its requests in the right way, and no more than its requests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from proofload.verdict.codes import LATE_CLIENT

if TYPE_CHECKING:
    from tests.abuse.conftest import Begin, Ending, Lab

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

BAD_PEERS = Path(__file__).parent / "stubs" / "bad_peers.py"
REQUESTS = 40
LONG = "timeout_s=60"
"""A time-out that no busy machine reaches, for what ends by itself."""
ENDLESS = ("endless-body", "endless-chunks")
ENDLESS_REQUESTS = 15
"""Each of them is read up to the largest answer that is taken, 16 MiB: less, together, than the client holds of
unfinished answers."""
ENDS: Mapping[str, tuple[str, str]] = {
    "closes": ("error", "closed"),
    "resets": ("error", "reset"),
    "hangs": ("timeout", ""),
    "drips": ("timeout", ""),
    "garbage": ("error", "protocol"),
    "half-a-header": ("error", "closed"),
    "half-an-answer": ("error", "closed"),
    "no-header-end": ("timeout", ""),
    "impossible-length": ("error", "protocol"),
    "petabyte-promised": ("error", "protocol"),
    "broken-chunks": ("error", "protocol"),
    "answers-twice": ("error", "protocol"),
    "speaks-http2": ("error", "protocol"),
    "endless-header": ("error", "protocol"),
    "endless-body": ("error", "protocol"),
    "endless-chunks": ("error", "protocol"),
    "not-json": ("wrong", "wrong-answer"),
    "no-prediction": ("wrong", "wrong-answer"),
    "internal-error": ("error", "http-500"),
    "redirects": ("error", "http-302"),
    "refuses-politely": ("shed", ""),
}


@pytest.fixture(scope="module")
def endings(begin: Begin, payloads: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Ending]]:
    """All of them as the targets of a few commands, by name."""
    peers = subprocess.Popen([sys.executable, str(BAD_PEERS)], stdout=subprocess.PIPE, text=True)
    assert peers.stdout is not None
    ports = json.loads(peers.stdout.readline())
    assert set(ports) == set(ENDS)
    targets = tmp_path_factory.mktemp("peers")
    files: dict[str, Path] = {}
    for name, port in ports.items():
        files[name] = targets / f"{name}.target.toml"
        target = f'name = "{name}"\ntransport = "http"\nurl = "http://127.0.0.1:{port}/"\n'
        files[name].write_text(target, encoding="utf-8")

    def load(names: Sequence[str], *settings: str) -> Lab:
        words: list[object] = ["run", "load", "--payloads", payloads]
        for setting in ("duration_s=0.5", "warmup_s=0", "arrival=constant", *settings):
            words += ["--set", setting]
        for name in names:
            words += ["--target", files[name]]
        return begin(*words)

    silent = [name for name, (outcome, _) in ENDS.items() if outcome == "timeout"]
    others = [name for name in ENDS if name not in {*silent, *ENDLESS}]
    labs = [
        load(silent, f"rate_rps={2 * REQUESTS}", "timeout_s=2"),
        load(ENDLESS, f"rate_rps={2 * ENDLESS_REQUESTS}", LONG),
        *(load(others[half::2], f"rate_rps={2 * REQUESTS}", LONG) for half in range(2)),
    ]
    done = [lab.ended() for lab in labs]
    yield {result["target"]["name"]: ending for ending in done for result in ending.result["results"]}
    peers.kill()
    peers.communicate()


def test_a_run_of_bad_peers_fails_as_a_whole(endings: Mapping[str, Ending]) -> None:
    assert set(endings) == set(ENDS)
    for ending in endings.values():
        statuses = {result["status"] for result in ending.result["results"]}
        assert ending.code == (1 if "fail" in statuses else 3)


@pytest.mark.parametrize("name", ENDS)
def test_a_bad_peer_fails_by_its_own_fault(endings: Mapping[str, Ending], name: str) -> None:
    ending = endings[name]
    [result] = [one for one in ending.result["results"] if one["target"]["name"] == name]
    outcome, kind = ENDS[name]
    requests = ENDLESS_REQUESTS if name in ENDLESS else REQUESTS
    assert {name: count for name, count in result["phases"][0]["outcomes"].items() if count} == {outcome: requests}
    assert error_kinds(ending.folder / name) == ({kind} if kind else set())
    [check] = [check for check in result["checks"] if check["name"] == "ok_share"]
    assert check["status"] == "fail"
    spoiled = {item["code"] for item in result["validity"] if not item["ok"]}
    assert spoiled <= LATE_CLIENT
    assert result["status"] == ("invalid" if spoiled else "fail")
    report = (ending.folder / name / "report.html").read_text(encoding="utf-8")
    assert kind in report


def error_kinds(folder: Path) -> set[str]:
    events: Iterator[dict[str, Any]] = map(json.loads, (folder / "events.jsonl").read_bytes().splitlines())
    return {event["detail"]["text"] for event in events if event["kind"] == "name"}
