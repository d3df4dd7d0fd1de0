"""The lab as its users meet it: a command, an exit code, two streams, a folder, and nothing left behind."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proofload.verdict.codes import LATE_CLIENT

STUBS = Path(__file__).parent / "stubs"
MARK = "PROOFLOAD_ABUSE_TEST"
PATIENCE_S = 100


@dataclass
class Ending:
    """How a command ended."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        """What standard output holds, which is JSON alone."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def spoiled(self) -> set[str]:
        return {item["code"] for item in self.result["validity"] if not item["ok"]}

    @property
    def disturbed(self) -> bool:
        """Whether the client was late and nothing else: on a small machine, tests may well disturb each other."""
        return bool(self.spoiled) and self.spoiled <= LATE_CLIENT


@dataclass
class Lab:
    """A `proofload` command that is running. Everything it starts carries its mark."""

    process: subprocess.Popen[str]
    folder: Path
    mark: str
    _ending: Ending | None = field(default=None)

    def ended(self) -> Ending:
        """Waits for its end; no message may be a traceback, and no bug of ours."""
        if self._ending is None:
            out, err = self.process.communicate(timeout=PATIENCE_S)
            self._ending = Ending(self.process.returncode, out, err, self.folder)
            assert "Traceback" not in err, err
            assert "bug in proofload" not in err, err
        return self._ending

    def recorded(self, what: str) -> bool:
        events = self.folder / "events.jsonl"
        return events.exists() and f'"{what}"' in events.read_text(encoding="utf-8")

    def wait_until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)

    def relatives(self) -> dict[int, str]:
        """Living processes that carry its mark, itself included, by pid."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    marked = f"{MARK}={self.mark}".encode() in (entry / "environ").read_bytes().split(b"\0")
                    if marked and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                        found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
        return found

    def left_behind(self) -> dict[int, str]:
        """What is still there some time after its end: nothing, or a test's failure."""
        give_up = time.monotonic() + 30
        while (there := self.relatives()) and time.monotonic() < give_up:
            time.sleep(0.05)
        return there


Begin = Callable[..., Lab]


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begin]:
    """Starts `proofload WORDS… --json - --out DIR`, each in a session and folder of its own."""
    started: list[Lab] = []

    def start(*words: object, before: Sequence[str] = (), folder: Path | None = None) -> Lab:
        mark = secrets.token_hex(8)
        out = folder or tmp_path_factory.mktemp("abuse") / "run"
        command = [*before, sys.executable, "-m", "proofload", *map(str, words), "--json", "-", "--out", str(out)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, MARK: mark},
            start_new_session=True,
        )
        started.append(Lab(process, out, mark))
        return started[-1]

    yield start
    for lab in started:
        for pid in lab.relatives():
            os.kill(pid, 9)
        lab.process.communicate()


@pytest.fixture(scope="module")
def payloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("payloads") / "values.jsonl"
    lines = (json.dumps({"body": {"value": value}, "expect": 2 * value}) for value in range(64))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, payloads: Path) -> Callable[..., Path]:
    """Target files of servers with an end of their own: `mortal("kill", 50)`."""
    folder = tmp_path_factory.mktemp("targets")

    def write(end: str, after: int = 1 << 60, port: str = "{port}") -> Path:
        command = ["{python}", str(STUBS / "mortal_server.py"), port, end, str(after)]
        path = folder / f"{end}-{after}-{port.strip('{}')}.target.toml"
        path.write_text(
            f'name = "{end}"\ntransport = "http"\nurl = "http://127.0.0.1:{port}/"\npayloads = "{payloads}"\n'
            f"[start]\ncommand = {json.dumps(command)}\n",
            encoding="utf-8",
        )
        return path

    return write
