"""Flags, files and places that cannot be: told before anything is measured, in words, with exit code 2."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proofload.cli.app import invoke

SERVER = Path(__file__).parent / "stubs" / "mortal_server.py"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with a server that starts and a payload that fits; a bug of ours would leave a file in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Path("p.jsonl").write_text('{"body": {"value": 1}, "expect": 2}\n', encoding="utf-8")
    target("good")
    yield
    assert not list(tmp_path.glob("proofload-bug-*"))


def target(
    name: str, *, port: str = "{port}", start: str = "", ready: str = "", extra: str = "", within_s: float = 60
) -> None:
    command = start or json.dumps([sys.executable, str(SERVER), port, "mute"])
    Path(f"{name}.target.toml").write_text(
        f'name = "{name}"\ntransport = "http"\nurl = "http://127.0.0.1:{port}/"\npayloads = "p.jsonl"\n{extra}\n'
        f"{ready}\n[start]\ncommand = {command}\nready_timeout_s = {within_s}\n",
        encoding="utf-8",
    )


def refused(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """Standard error of a command that has to end with 2, in one message of what, why and what next."""
    code = invoke(["run", "load", "--set", "duration_s=0.5", *words, "--json", "-"])
    seen = capfd.readouterr()
    assert code == 2, seen.err
    assert seen.out == ""
    assert "Traceback" not in seen.err
    assert "error: " in seen.err
    assert "next: " in seen.err
    return seen.err


HOSTILE_PAYLOADS = {
    "nothing": (b"", "payload"),
    "only blank lines": (b"\n\n  \n", "payload"),
    "a NUL in the middle": (b'{"body": 1}\n\x00\n', "line 2"),
    "bytes that are no text": (b'{"body": 1}\n{"body": "\xff\xfe"}\n', "line 2"),
    "UTF-16": ('{"body": 1}\n'.encode("utf-16"), "line 1"),
    "a JSON array": (b"[1, 2]\n", "line 1"),
    "half a line": (b'{"body": 1}\n{"body": {"val', "line 2"),
    "a member that is misspelt": (b'{"body": 1, "expects": 2}\n', "did you mean 'expect'"),
    "no body": (b'{"value": 1}\n', "no `body`"),
    "NaN": (b'{"body": NaN}\n', "line 1"),
    "a million brackets": (b'{"body": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "nested too deeply"),
    "an id that is an object": (b'{"body": 1, "id": {}}\n', "`id`"),
    "a CSV": (b"a,b,c\n1,2,3\n", "line 1"),
    "terminal control codes": (b"\x1b[2J\x1b]0;owned\x07\n", "line 1"),
}


@pytest.mark.parametrize("name", HOSTILE_PAYLOADS)
def test_a_payload_file_that_cannot_be_sent_is_told_with_its_line(capfd: pytest.CaptureFixture[str], name: str) -> None:
    content, says = HOSTILE_PAYLOADS[name]
    Path("hostile.jsonl").write_bytes(content)
    told = refused(capfd, "--target", "http://127.0.0.1:9/", "--payloads", "hostile.jsonl")
    assert "hostile.jsonl" in told
    assert says in told
    assert "\x1b[2J" not in told


@pytest.mark.parametrize("place", ["a folder", "a device that never ends", "not there"])
def test_a_payload_file_that_is_none_is_told(capfd: pytest.CaptureFixture[str], place: str) -> None:
    Path("folder").mkdir()
    path = {"a folder": "folder", "a device that never ends": "/dev/zero", "not there": "nope.jsonl"}[place]
    assert path in refused(capfd, "--target", "http://127.0.0.1:9/", "--payloads", path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "rate_rps=fast"], "rate_rps"),
        (["--set", "rate_rps=-5"], "rate_rps"),
        (["--set", "rate_rps=nan"], "rate_rps"),
        (["--set", "rate_rps=inf"], "rate_rps"),
        (["--set", "rate_rps=1e15"], "rate_rps"),
        (["--set", "duration_s=0"], "duration_s"),
        (["--set", "duration_s=1e300"], "duration_s"),
        (["--set", "timeout_s=0"], "timeout_s"),
        (["--set", "timeout_s=1e300"], "timeout_s"),
        (["--set", "connections=0"], "connections"),
        (["--set", "slo.p99=50"], "p99_ms"),
        (["--set", "slo.ok_share=99.9"], "ok_share"),
        (["--set", "slo.deadline_ms=60000"], "deadline_ms"),
        (["--set", "arrival=sine"], "sine"),
        (["--set", "workers=1000"], "workers"),
        (["--set", "ratee_rps=5"], "rate_rps"),
        (["--runtime", "docker"], "docker"),
        (["--target", "ftp://127.0.0.1/"], "ftp"),
        (["--target", "http://"], "http"),
        (["--target", "http://127.0.0.1:99999/"], "port"),
        (["--target", "http://127.0.0.1:no/"], "port"),
    ],
)
def test_a_flag_that_cannot_be_is_told(capfd: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    aimed = words if "--target" in words else ["--target", "http://127.0.0.1:9/", *words]
    assert says in refused(capfd, *aimed, "--payloads", "p.jsonl")


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/", "grpc://127.0.0.1:{}/x.Y/Z", "kafka://127.0.0.1:{}"])
def test_a_target_that_refuses_connections_is_told(capfd: pytest.CaptureFixture[str], url: str) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        told = refused(capfd, "--target", url.format(port), "--payloads", "p.jsonl", *_kafka(url))
    assert str(port) in told


def _kafka(url: str) -> list[str]:
    topics = ["--set", "target.request.topic=a", "--set", "target.response.topic=b"]
    return topics if url.startswith("kafka") else []


@pytest.mark.real
def test_a_port_that_is_held_is_told_with_its_holder(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        target("fixed", port=str(held.getsockname()[1]))
        told = refused(capfd, "--target", "./fixed.target.toml")
    assert "was taken before it was started" in told
    assert "kill" in told


@pytest.mark.real
@pytest.mark.parametrize(
    ("start", "ready", "within_s", "says"),
    [
        ('["no-such-program"]', "", 60, "no-such-program"),
        ('["sh", "-c", "echo out of luck >&2; exit 3"]', "", 60, "out of luck"),
        ('["sh", "-c", "echo alive and deaf; exec sleep 600"]', "", 2, "alive and deaf"),
        ('["sh", "-c", "kill -9 $$"]', "", 60, "SIGKILL"),
        ("", '[health]\nready = "/nowhere"', 1, "was not ready after 1 s"),
    ],
)
def test_a_target_that_does_not_start_is_told_with_the_end_of_its_log(
    capfd: pytest.CaptureFixture[str], start: str, ready: str, within_s: float, says: str
) -> None:
    target("bad", start=start, ready=ready, within_s=within_s)
    assert says in refused(capfd, "--target", "./bad.target.toml")


@pytest.mark.parametrize("out", ["p.jsonl", "p.jsonl/run", "/proc/run", "/dev/null", "full", "bad\0name"])
def test_a_place_where_no_run_folder_can_be_is_told(capfd: pytest.CaptureFixture[str], out: str) -> None:
    Path("full").mkdir()
    Path("full/precious.txt").write_text("mine", encoding="utf-8")
    told = refused(capfd, "--target", "./good.target.toml", "--out", out)
    assert "--out" in told
    assert Path("full/precious.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "content",
    ["", "name = ", "\x00", 'name = "x"', '[start]\ncommand = "not a list"', 'transport = "smoke"\nurl = "http://h/"'],
)
def test_a_target_file_that_is_none_is_told(capfd: pytest.CaptureFixture[str], content: str) -> None:
    Path("odd.target.toml").write_text(content, encoding="utf-8")
    told = refused(capfd, "--target", "./odd.target.toml", "--payloads", "p.jsonl")
    assert "odd.target.toml" in told or "'smoke'" in told
