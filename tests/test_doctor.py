"""`proofload doctor`."""

from __future__ import annotations

import os
import resource
import socket
import sys
import threading
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import pytest

from proofload import discovery, doctor
from proofload.cli.app import invoke
from proofload.doctor import Finding, Grade, conclusion, machine, software
from proofload.doctor import limits as connection_limits
from proofload.testing.fake_nvml import Board, FakeNvml


def test_it_examines_everything_and_ends_with_what_to_type_next(capfd: pytest.CaptureFixture[str]) -> None:
    code = invoke(["doctor"])
    shown = capfd.readouterr().out
    assert code == 0, shown
    for title in ("machine", "limits", "clock", "software", "parts", "serving"):
        assert f"\n{title}\n" in f"\n{shown}"
    for name in ("cores", "open files", "local ports", "TIME_WAIT", "clock source", "timer", "ONNX Runtime", "docker"):
        assert name in shown
    assert shown.rstrip().splitlines()[-1].startswith("next: proofload ")


def test_every_implementation_is_listed() -> None:
    said = {one.name: one.says for one in software.parts()}
    for kind in discovery.KINDS:
        for name, found in discovery.implementations(kind).items():
            assert found.module is None or name in said[f"{kind}s"]


def test_an_unavailable_part_says_why_and_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "http": discovery.Found("http", SimpleNamespace()),  # type: ignore[arg-type]
        "carrier-pigeon": discovery.Found("carrier-pigeon", None, "ImportError: no pigeons"),
    }
    monkeypatch.setattr(discovery, "implementations", lambda _: MappingProxyType(found))
    findings = list(software.parts())
    assert Finding("transport carrier-pigeon", Grade.DOUBT, "unavailable: ImportError: no pigeons",
                   "install what it names") in findings  # fmt: skip
    assert conclusion(findings)[-1].startswith("next: proofload run")


def test_a_kind_without_any_implementation_is_broken_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(discovery, "implementations", lambda _: MappingProxyType({}))
    assert invoke(["doctor"]) == 2
    assert "proofload cannot work here: " in capfd.readouterr().out


def test_a_question_that_cannot_be_answered_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_call() -> None:
        raise OSError("not on this system")

    monkeypatch.setattr(os, "getloadavg", no_such_call)
    sections = dict(doctor.examine())
    assert Finding("load average", Grade.NOTE, "cannot be told: OSError: not on this system") in sections["machine"]
    assert len(sections["machine"]) == 7


@pytest.mark.parametrize(
    ("limits", "grade"),
    [
        ((1024, 1_048_576), Grade.NOTE),
        ((1024, 1024), Grade.DOUBT),
        ((65_536, 65_536), Grade.GOOD),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), Grade.GOOD),
        ((1024, resource.RLIM_INFINITY), Grade.NOTE),
    ],
)
def test_few_file_descriptors_are_a_doubt_only_when_they_cannot_be_raised(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], grade: Grade
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    assert connection_limits.open_files().grade is grade


def test_one_core_is_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert machine.cores().grade is Grade.DOUBT


def test_cores_are_named_as_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 6, 8, 9})
    assert "usable: 0–2, 6, 8–9" in machine.cores().says


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b'HTTP/1.0 200 OK\r\n\r\n{"Version": "29.1"}', "engine 29.1"),
        (b"HTTP/1.0 500 No\r\n\r\noops", "unavailable: "),
        (b"", "unavailable: "),
    ],
)
def test_docker_is_asked_through_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, says: str
) -> None:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "d.sock"))
        engine.listen(1)

        def serve() -> None:
            asking, _ = engine.accept()
            with asking:
                asking.recv(1024)
                asking.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/d.sock")
        assert software.docker_engine().says.startswith(says)
        thread.join()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert "No such file or directory" in software.docker_engine().says


def test_accelerators_are_named_or_what_is_missing_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(Board(name="Imaginary 9")))
    assert machine.accelerators().grade is Grade.GOOD
    assert "name Imaginary 9, memory gib 80.0, compute capability 9.0" in machine.accelerators().says
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(loaded=False))
    nothing = machine.accelerators()
    assert (nothing.grade, nothing.says) == (
        Grade.NOTE,
        "none to be read (NVML: NVML error 9); only --device cpu will work",
    )


def test_the_conclusion_names_the_doubts() -> None:
    findings = [Finding("a", Grade.GOOD, ""), Finding("b", Grade.DOUBT, ""), Finding("c", Grade.NOTE, "")]
    assert conclusion(findings) == ["fit to measure, with reserve: b", "next: proofload run load --quick"]
    assert conclusion(findings[:1])[0] == "fit to measure"
    broken = Finding("d", Grade.BROKEN, "", "repair d")
    assert conclusion([*findings, broken]) == ["proofload cannot work here: d", "next: repair d"]
