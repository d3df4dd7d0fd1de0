"""A started container's life, as a made-up engine tells it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proofload import _process_trees as trees
from proofload.clock import NS_PER_S
from proofload.errors import TargetError
from proofload.runtimes import Placement
from proofload.runtimes._broker import Broker
from proofload.runtimes._contained import Contained, started_ns
from proofload.runtimes._log_file import LogFile
from proofload.runtimes.container import Berth
from proofload.target_model import Target

TARGET = Target.model_validate(
    {"name": "x", "transport": "http", "url": "http://127.0.0.1:{port}/p", "container": {"image": "x:1"}}
)


class Engine:
    """A container and the client that makes it, both. Its processes are this test's."""

    def __init__(self, pid: int, started_at: str = "2026-11-21T10:00:00.5Z") -> None:
        self.id = "/"  # which stands in every process's control group
        state = {"Running": True, "Pid": pid, "StartedAt": started_at, "ExitCode": 0, "OOMKilled": False}
        self.attrs: dict[str, Any] = {"State": state}
        self.looks = 0
        self.removed = False
        self.may_tell = threading.Event()
        self.may_tell.set()
        self.containers = self

    def create(self, **_: Any) -> Engine:
        return self

    def version(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        """It runs from the first."""

    def reload(self) -> None:
        self.looks += 1

    def remove(self, **_: Any) -> None:
        self.removed = True

    def logs(self, **_: Any) -> Iterator[bytes]:
        self.may_tell.wait(30)
        yield b"its last line\n"


def contained(engine: Engine, folder: Path, root: trees.Root | None) -> Contained:
    log = LogFile(folder / "x.log")
    return Contained(TARGET, engine, log, (), {"ready_ns": 1}, {"image": "x:1"}, root)


def ended() -> trees.Root:
    """A process that was here and is gone."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        root = trees.root(process.pid)
        process.communicate()
    assert root is not None
    return root


def test_one_that_was_started_again_lives_on_with_another_first_process(tmp_path: Path) -> None:
    engine = Engine(os.getpid())
    server = contained(engine, tmp_path, ended())
    for _ in range(3):
        server.check_alive()
    assert server.pids == (os.getpid(),)
    assert engine.looks == 1, "the engine is asked once, and not waited for"
    server.log.close()


def test_one_whose_end_the_engine_has_not_noticed_is_waited_for(tmp_path: Path) -> None:
    before = ended()

    class Slow(Engine):
        def reload(self) -> None:
            super().reload()
            self.attrs["State"]["Running"] = self.looks < 3

    engine = Slow(before.pid)
    server = contained(engine, tmp_path, before)
    with pytest.raises(TargetError, match="died during the run"):
        server.check_alive()
    assert engine.looks == 3
    server.log.close()


def test_that_memory_was_the_reason_is_waited_for_where_the_engine_tells_the_end_first(tmp_path: Path) -> None:
    before = ended()

    class Slow(Engine):
        def reload(self) -> None:
            super().reload()
            self.attrs["State"] |= {"Running": False, "ExitCode": 137, "OOMKilled": self.looks >= 3}

    engine = Slow(before.pid)
    server = contained(engine, tmp_path, before)
    with pytest.raises(TargetError, match="died during the run") as told:
        server.check_alive()
    assert "memory limit was reached" in told.value.cause
    assert engine.looks == 3
    server.log.close()


def test_what_an_engine_tells_after_the_log_was_closed_gets_into_no_other_file(tmp_path: Path) -> None:
    engine = Engine(os.getpid())
    engine.may_tell.clear()
    server = contained(engine, tmp_path, None)
    server.follow()
    with (tmp_path / "another").open("wb") as another:
        server.log.close()
        reused = os.dup2(another.fileno(), server.log.descriptor)
        engine.may_tell.set()
        server._await_log()
        os.close(reused)
    assert (tmp_path / "another").read_bytes() == b""
    assert server.log.path.read_bytes() == b"its last line\n"


@pytest.mark.parametrize(
    ("text", "ago_ns"),
    [
        ("2026-11-21T10:00:00.25Z", NS_PER_S * 3 // 4),
        ("2026-11-21T10:00:00Z", NS_PER_S),
        ("2026-11-21T11:00:00.123456789+01:00", NS_PER_S - 123_456_789),
        ("2026-11-21T06:30:00.5-03:30", NS_PER_S // 2),
    ],
)
def test_the_start_is_read_in_whatever_time_zone_the_engine_tells_it(text: str, ago_ns: int) -> None:
    wall_ns = 1_795_255_201 * NS_PER_S  # 2026-11-21T10:00:01Z
    container: Any = Engine(1, text)
    assert started_ns(container, 10 * NS_PER_S, wall_ns, 0) == 10 * NS_PER_S - ago_ns


def test_a_container_is_removed_when_what_the_engine_tells_of_it_cannot_be_read(tmp_path: Path) -> None:
    engine: Any = Engine(os.getpid(), started_at="yesterday")
    berth = Berth(engine, {"Id": "1"}, TARGET, Placement(log_dir=tmp_path), {}, Broker(), "token", _Clock())
    with pytest.raises(ValueError, match="yesterday"):
        berth.launch(1)
    assert engine.removed


class _Clock:
    def now_ns(self) -> int:
        return NS_PER_S

    def sleep(self, seconds: float) -> None:
        raise AssertionError
