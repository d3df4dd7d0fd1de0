"""Logs are bounded, keep their beginning and their end, and a process may write on meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from proofload.runtimes import _log_file
from proofload.runtimes._log_file import HEAD_BYTES, LogFile, tail_of
from proofload.testing.eventually import eventually

LIMIT = 256 * 1024


def flood(log: LogFile, after_each: Callable[[], None] = lambda: None) -> None:
    """Forty times the limit, in numbered lines, then famous last words."""
    os.write(log.descriptor, b"the first line\n")
    for number in range(160):
        os.write(log.descriptor, (f"{number:6} " + "x" * 1016 + "\n").encode() * 64)
        after_each()
        if number % 40 == 39:
            assert eventually(lambda: os.fstat(log.descriptor).st_blocks * 512 < 2 * LIMIT + HEAD_BYTES)
    os.write(log.descriptor, b"the last line\n")


def test_a_flood_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", max_bytes=LIMIT, look_every_s=0.002)
    flood(log)
    keeps_its_beginning_and_its_end(log)


def test_where_no_hole_can_be_punched_the_file_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_file, "_punch_hole", lambda *_: False)
    log = LogFile(tmp_path / "log", max_bytes=LIMIT, look_every_s=3600)
    flood(log, after_each=log._cut_if_too_long)  # between two writes: what is written at the instant of a cut is lost
    keeps_its_beginning_and_its_end(log)


def keeps_its_beginning_and_its_end(log: LogFile) -> None:
    assert log.tail(1) == "the last line"
    log.close()
    text = log.path.read_text(encoding="utf-8")
    assert text.startswith("the first line\n")
    assert text.endswith("the last line\n")
    assert f"[proofload cut {log.cut_bytes} bytes out here]" in text
    assert "\0" not in text
    assert len(text) < LIMIT + 2 * HEAD_BYTES


def test_a_hole_loses_nothing_but_what_is_said_to_be_cut(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", max_bytes=LIMIT, look_every_s=0.002)
    flood(log)
    log.close()
    notice = f"\n[proofload cut {log.cut_bytes} bytes out here]\n"
    written = len("the first line\nthe last line\n") + 160 * 64 * 1024
    assert log.path.stat().st_size == written - log.cut_bytes + len(notice)


def test_a_short_log_stays_as_it_is(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "new" / "log")
    os.write(log.descriptor, b"one\ntwo\n")
    log.close()
    log.close()
    assert log.path.read_bytes() == b"one\ntwo\n"
    assert log.cut_bytes == 0


def test_a_tail_is_short_and_free_of_terminal_escapes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"early\n" * 1000 + b"\x1b[31mred\x1b[0m\x07\n" + b"y" * 5000 + b"\n\xff\n")
    lines = tail_of(path, 3).split("\n")
    assert lines[0] == "red"
    assert lines[1].startswith("yyy")
    assert len(lines[1]) < 500
    assert lines[2] == "\ufffd"


def test_a_missing_log_has_an_empty_tail(tmp_path: Path) -> None:
    assert tail_of(tmp_path / "none") == ""
