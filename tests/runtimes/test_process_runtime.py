"""Local processes: what goes wrong in the world is told clearly, and nothing is left behind."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtimes.hasty_clock import HastyClock, has_said

from proofload import _process_trees as trees
from proofload.clock import MonotonicClock
from proofload.errors import InputError, TargetError
from proofload.runtimes import Placement, Server
from proofload.runtimes._log_file import LogFile
from proofload.runtimes.process import ProcessRuntime
from proofload.target_model import Target
from proofload.testing.eventually import eventually
from proofload.testing.runtime_kit import STUB, running_stub
from proofload.watchdog import Watchdog

URL = "http://127.0.0.1:{port}/predict"
LOG = "0-it.log"
pytestmark = pytest.mark.real


def target(code: str = "", *, command: list[str] | None = None, **more: Any) -> Target:
    """A target that runs this Python program (or command) with its port as the only argument."""
    command = command or ["{python}", "-c", textwrap.dedent(code), "{port}"]
    start = {"command": command, "ready_timeout_s": more.pop("ready_timeout_s", 30.0), "env": more.pop("env", {})}
    table = {"name": "it", "transport": "http", "url": URL, "health": {"ready": "/ready"}, "start": start, **more}
    return Target.model_validate(table)


def stub(**more: Any) -> Target:
    return target(command=["{python}", str(STUB), "{port}"], **more)


SERVE = f"""
import runpy, sys
sys.argv[0] = {str(STUB)!r}
runpy.run_path({str(STUB)!r}, run_name="__main__")
"""


@contextlib.contextmanager
def up(what: Target, folder: Path, *, drain_s: float = 10.0, **placement: Any) -> Iterator[Server]:
    """Started under a watchdog, which must find nothing left to do afterwards."""
    with Watchdog() as watchdog:
        with ProcessRuntime(drain_s=drain_s).start(what, Placement(folder, watchdog=watchdog, **placement)) as server:
            yield server
        assert not trees.belonging([], watchdog.token)
    assert not watchdog.left_behind


def refused(
    what: Target, folder: Path, *, overdue: Callable[[], object] | None = None, **placement: Any
) -> TargetError:
    """The error of a start that must fail. `overdue`: its time is over as soon as that holds, and not before."""
    with Watchdog() as watchdog:
        clock = MonotonicClock() if overdue is None else HastyClock(overdue)
        runtime = ProcessRuntime(clock, drain_s=0.2)
        with (
            pytest.raises(TargetError) as caught,
            runtime.start(what, Placement(folder, watchdog=watchdog, **placement)),
        ):
            pass
        assert not trees.belonging([], watchdog.token)
    assert not watchdog.left_behind
    return caught.value


def test_a_target_that_lacks_a_module_is_told_with_its_log_and_the_modules_name(tmp_path: Path) -> None:
    error = refused(target("import proofload_no_such_module"), tmp_path)
    assert "exit status 1" in error.what
    assert "Traceback" in error.evidence
    assert "proofload_no_such_module" in error.cause
    assert error.remedy


def test_a_target_that_is_killed_names_the_signal(tmp_path: Path) -> None:
    error = refused(target("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), tmp_path)
    assert "SIGSEGV" in error.what


def test_a_target_that_never_gets_ready_shows_what_was_asked_and_the_logs_end(tmp_path: Path) -> None:
    code = "import time; print('loading weights', flush=True); time.sleep(600)"
    error = refused(target(code), tmp_path, overdue=has_said(tmp_path / LOG, "loading weights"))
    assert "not ready after 30 s" in error.what
    assert "/ready" in error.evidence
    assert "loading weights" in error.evidence


def test_a_target_that_says_it_is_not_ready_is_quoted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "httpx")  # it tells every answer that came
    error = refused(stub(health={"ready": "/not-there"}), tmp_path, overdue=lambda: "404" in caplog.text)
    assert "answered 404" in error.evidence


def test_a_ready_path_that_accepts_and_never_answers_ends_the_wait(tmp_path: Path) -> None:
    code = """
        import socket, sys, time
        server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
        asked = server.accept()
        print("was asked", flush=True)
        time.sleep(600)
    """
    assert "Timeout" in refused(target(code), tmp_path, overdue=has_said(tmp_path / LOG, "was asked")).evidence


def test_a_command_that_does_not_exist_says_where_it_was_looked_for(tmp_path: Path) -> None:
    error = refused(target(command=["./no-such-server", "{port}"]), tmp_path)
    assert "no-such-server" in error.cause
    assert error.remedy


def test_a_server_that_goes_into_the_background_is_told_to_stay(tmp_path: Path) -> None:
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)"
    assert "foreground" in refused(target(code), tmp_path).remedy


def test_a_fixed_port_that_is_held_names_its_holder_and_starts_nothing(tmp_path: Path) -> None:
    with running_stub() as (port, pid):
        error = refused(stub(url=f"http://127.0.0.1:{port}/predict"), tmp_path)
        assert str(port) in error.what
        assert f"pid {pid}" in error.evidence
        assert not list(tmp_path.iterdir())


def test_a_server_that_listens_elsewhere_while_another_answers_is_refused(tmp_path: Path) -> None:
    """The impostor takes the port after the check and before the server: the load would reach the impostor."""
    with running_stub() as (port, pid):
        code = f"import time; time.sleep(600)  # {port}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proofload.runtimes.process.refuse_held_ports", lambda _: None)
            error = refused(target(code, url=f"http://127.0.0.1:{port}/predict"), tmp_path)
        assert "while it was starting" in error.what
        assert f"pid {pid}" in error.evidence


def test_a_chosen_port_lost_to_someone_else_is_replaced(tmp_path: Path) -> None:
    code = f"""
        import os, socket, sys
        marker = {str(tmp_path / "first")!r}
        if not os.path.exists(marker):
            open(marker, "w").close()
            thief = socket.create_server(("127.0.0.1", int(sys.argv[1])))
            socket.create_server(("127.0.0.1", int(sys.argv[1])))
    """
    with up(target(textwrap.dedent(code) + SERVE), tmp_path / "logs") as server:
        assert server.facts()["attempt"] == 2


def test_a_port_that_is_always_taken_gives_up_and_says_so(tmp_path: Path) -> None:
    code = "raise OSError(98, 'Address already in use')"
    error = refused(target(code), tmp_path)
    assert "port is taken" in error.cause
    assert len(list(tmp_path.iterdir())) == 3, "a log for each attempt"


def test_a_death_in_mid_run_is_reported_with_the_logs_end(tmp_path: Path) -> None:
    code = "import os, threading, sys\nthreading.Thread(target=lambda: (sys.stdin.read(), 0)).start()\n" + SERVE
    with up(target(code), tmp_path) as server:
        server.check_alive()
        os.kill(server.pids[0], signal.SIGKILL)
        assert eventually(lambda: _died(server))
        with pytest.raises(TargetError) as caught:
            server.check_alive()
        assert "died during the run" in caught.value.what
        assert "SIGKILL" in caught.value.what
        assert "stub server starting" in caught.value.evidence
    assert server.facts()["stopped_cleanly"] is False


def _died(server: Server) -> bool:
    try:
        server.check_alive()
    except TargetError:
        return True
    return False


def test_a_server_that_ignores_sigterm_is_killed_and_that_is_on_record(tmp_path: Path) -> None:
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVE
    with up(target(code), tmp_path, drain_s=0.3) as server:
        pass
    assert server.facts()["stopped_cleanly"] is False
    assert server.facts()["exit_code"] == -signal.SIGKILL


def test_a_server_that_drains_is_given_the_time(tmp_path: Path) -> None:
    code = """
        import signal, sys, time
        def drain(*_):
            time.sleep(0.5)
            print("drained", flush=True)
            sys.exit(0)
        signal.signal(signal.SIGTERM, drain)
    """
    with up(target(textwrap.dedent(code) + SERVE), tmp_path) as server:
        pass
    facts = server.facts()
    assert (facts["stopped_cleanly"], facts["exit_code"], facts["killed"]) == (True, 0, 0)
    assert "drained" in Path(facts["log"]).read_text(encoding="utf-8")


def test_daemons_and_orphans_of_a_server_are_ended_and_that_is_on_record(tmp_path: Path) -> None:
    code = """
        import os, subprocess, sys
        wait = [sys.executable, "-c", "import time; time.sleep(600)"]
        subprocess.Popen(wait, env={})
        subprocess.Popen(wait, start_new_session=True)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv(wait[0], wait)
            os._exit(0)
        os.wait()
    """
    with up(target(textwrap.dedent(code) + SERVE), tmp_path) as server:
        everyone = [trees.Root(p.pid, p.start_ticks) for p in server.tree().values()]  # type: ignore[attr-defined]
        assert len(everyone) == 4
    assert not any(trees.alive(who) for who in everyone)
    assert server.facts()["stopped_cleanly"] is False


def test_two_arms_stop_apart(tmp_path: Path) -> None:
    with Watchdog() as watchdog:
        runtime = ProcessRuntime()
        with runtime.start(stub(), Placement(tmp_path, watchdog=watchdog)) as first:
            with runtime.start(stub(), Placement(tmp_path, arm=1, watchdog=watchdog)) as second:
                assert first.target.url != second.target.url
            first.check_alive()


def test_a_flood_of_log_does_not_fill_the_disk_and_its_end_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = functools.partial(LogFile, max_bytes=1024 * 1024, look_every_s=0.005)
    monkeypatch.setattr("proofload.runtimes._launch.LogFile", small)
    code = """
        import sys
        print("the first line", flush=True)
        for _ in range(400):
            sys.stdout.write(("x" * 1023 + "\\n") * 1024)
        sys.stdout.flush()
        sys.exit("the last line")
    """
    error = refused(target(code), tmp_path)
    assert "the last line" in error.evidence
    assert len(error.evidence) < 20_000
    (log,) = tmp_path.iterdir()
    assert log.stat().st_size < 3 * 1024 * 1024
    assert "bytes out here" in log.read_text(encoding="utf-8")
    assert "the first line" in log.read_text(encoding="utf-8")[:100]


def test_ports_have_names_and_are_all_different(tmp_path: Path) -> None:
    code = "import sys; print(sys.argv, flush=True)\n" + SERVE
    command = ["{python}", "-c", code, "{port}", "{port:metrics}", "{port:admin}", "{port}"]
    with up(target(command=command, probe={"metrics": "http://127.0.0.1:{port:metrics}/m"}), tmp_path) as server:
        start = server.target.start
        assert start is not None
        port, metrics, admin, again = start.command[-4:]
        assert len({port, metrics, admin}) == 3
        assert port == again
        assert server.target.metrics_url == f"http://127.0.0.1:{metrics}/m"


def test_the_environment_is_ours_then_the_files_then_the_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFLOAD_TEST_SECRET", "s3cret")
    code = (
        "import os; print({k: v for k, v in os.environ.items() if k[:2] in ('A_', 'B_', 'C_')}, flush=True)\n" + SERVE
    )
    env = {"A_": "file {device}", "B_": "file", "C_": "env:PROOFLOAD_TEST_SECRET"}
    with up(target(code, env=env), tmp_path, env={"B_": "lab"}, device="cuda") as server:
        assert "s3cret" not in str(server.facts())
    log = Path(server.facts()["log"]).read_text(encoding="utf-8")
    assert "{'A_': 'file cuda', 'B_': 'lab', 'C_': 's3cret'}" in log


def test_a_placeholder_without_a_value_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="model"), up(target("", env={"M": "{model}"}), tmp_path):
        pass


def test_the_target_is_pinned_and_the_lab_is_not(tmp_path: Path) -> None:
    ours = os.sched_getaffinity(0)
    core = max(ours)
    with up(stub(limits={"cpus": 1}), tmp_path) as server:
        assert os.sched_getaffinity(server.pids[0]) == {core}
        assert list(server.cpus) == [core]
        assert os.sched_getaffinity(0) == ours


def test_a_memory_limit_holds_or_is_not_claimed(tmp_path: Path) -> None:
    code = "import sys, time\ntime.sleep(0.2)\nhoard = bytearray(400 * 1024 * 1024)\n" + SERVE
    with Watchdog() as watchdog:
        try:
            with ProcessRuntime().start(
                target(code, limits={"memory_mib": 64}), Placement(tmp_path, watchdog=watchdog)
            ) as server:
                assert server.facts()["limits"]["memory_enforced"] is False
                assert "not enforced" in server.facts()["limits"]["memory_note"]
        except TargetError as exc:
            assert "memory limit was reached" in exc.cause, exc  # noqa: PT017  either ending is right, by machine


def test_a_lab_killed_in_mid_start_leaves_nothing(tmp_path: Path) -> None:
    lab = f"""
import sys
from pathlib import Path
from proofload.runtimes import Placement
from proofload.runtimes._log_file import LogFile
from proofload.runtimes.process import ProcessRuntime
from proofload.target_model import Target
target = Target.model_validate({{"name": "it", "transport": "http", "url": "{URL}", "health": {{"ready": "/ready"}},
    "start": {{"command": [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]}}}})
with ProcessRuntime().start(target, Placement(Path({str(tmp_path)!r}))):
    pass
"""
    process = subprocess.Popen([sys.executable, "-c", lab])
    try:
        assert eventually(has_said(tmp_path / LOG, "up"))
        below = trees.belonging([trees.Root(process.pid, trees.read(process.pid).start_ticks)], "")  # type: ignore[union-attr]
        others = [trees.Root(p.pid, p.start_ticks) for pid, p in below.items() if pid != process.pid]
        assert len(others) == 2, "the server and the watchdog"
        process.kill()
        assert all(eventually(lambda who=who: not trees.alive(who)) for who in others)  # type: ignore[misc]
    finally:
        process.kill()
        process.wait()


def test_a_kafka_target_gets_the_embedded_broker_and_loses_it_at_the_end(tmp_path: Path) -> None:
    pytest.importorskip("confluent_kafka")
    ready = "http://127.0.0.1:{port:metrics}/ready"
    what = target(
        command=["{python}", str(STUB), "{port:metrics}", "{broker}"], url="kafka://{broker}", health={"ready": ready}
    )
    with up(what, tmp_path) as server:
        bootstrap = server.facts()["broker"]["bootstrap"]
        assert server.target.url == f"kafka://{bootstrap}"
        host, _, port = bootstrap.rpartition(":")
        socket.create_connection((host, int(port)), timeout=10).close()
        server.check_alive()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=10)


def test_a_broker_of_the_users_that_is_away_is_told_before_anything_starts(tmp_path: Path) -> None:
    error = refused(stub(broker="127.0.0.1:9"), tmp_path)
    assert "127.0.0.1:9" in error.what
    assert not list(tmp_path.iterdir())
