"""The folder of the pages: whose it is, and what is removed from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proofload.cli.app import invoke
from proofload.errors import EXIT_BAD_INPUT, EXIT_PASS
from proofload.nightly.pages import LIST, Pages


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
            for path in folder.rglob("*") if path.is_file()}  # fmt: skip


@pytest.mark.parametrize("name", ["index.html", "cells/mine/notes.txt", "cells/old.html", ".hidden"])
@pytest.mark.parametrize("words", [["--rebuild"], ["--dry-run"], []])
def test_a_folder_that_holds_anything_else_is_refused_and_left_alone(
    many_nights: Callable[..., Path], capsys: pytest.CaptureFixture[str], name: str, words: list[str]
) -> None:
    out = many_nights(1)
    theirs = out / "site" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs", encoding="utf-8")
    assert invoke(["nightly", "--out", str(out), *words]) == EXIT_BAD_INPUT
    assert files(out / "site") == {name: "theirs"}
    assert "holds something that proofload did not write" in capsys.readouterr().err


def test_a_file_in_the_folders_place_is_refused(many_nights: Callable[..., Path]) -> None:
    out = many_nights(1)
    (out / "site").write_text("theirs", encoding="utf-8")
    assert invoke(["nightly", "--out", str(out), "--rebuild"]) == EXIT_BAD_INPUT


def test_an_empty_folder_is_taken_and_taken_again(many_nights: Callable[..., Path]) -> None:
    out = many_nights(1)
    (out / "site").mkdir()
    for _ in range(2):
        assert invoke(["nightly", "--out", str(out), "--rebuild"]) == EXIT_PASS
    assert set(files(out / "site")) == {LIST, "index.html", "cells/load.flask.cpu.html", "cells/load.grpc.cpu.html"}


def test_only_earlier_pages_are_removed(tmp_path: Path) -> None:
    pages = Pages(tmp_path / "site")
    pages.write({"index.html": "1", "cells/old.html": "1", "cells/new.html": "1"})
    (pages.folder / "cells" / "mine").mkdir()
    for theirs in ("CNAME", "cells/mine/notes.txt", "cells/mine.html"):
        (pages.folder / theirs).write_text("theirs", encoding="utf-8")
    pages.write({"index.html": "2", "cells/new.html": "2"})
    left = files(pages.folder)
    assert left.pop(LIST).split() == ["cells/new.html", "index.html"]
    assert left == {
        "index.html": "2", "cells/new.html": "2",
        "CNAME": "theirs", "cells/mine/notes.txt": "theirs", "cells/mine.html": "theirs",
    }  # fmt: skip


def test_a_list_that_was_edited_leads_nowhere_else(tmp_path: Path) -> None:
    pages = Pages(tmp_path / "site")
    pages.write({"cells/a.html": "1"})
    (tmp_path / "theirs").write_text("theirs", encoding="utf-8")
    (pages.folder / LIST).write_text(f"../theirs\ncells/../../theirs\n{tmp_path}/theirs\n", encoding="utf-8")
    pages.write({"cells/a.html": "2"})
    assert (tmp_path / "theirs").read_text(encoding="utf-8") == "theirs"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"cells/..\n", b"cells/mine.html\n", b"cells/x\0.html\n"])
def test_a_damaged_list_keeps_nobody_from_the_pages_of_a_night(tmp_path: Path, content: bytes) -> None:
    pages = Pages(tmp_path / "site")
    pages.write({"cells/a.html": "1"})
    (pages.folder / "cells" / "mine.html").mkdir()
    (pages.folder / LIST).write_bytes(content)
    pages.write({"cells/a.html": "2"})
    assert files(pages.folder) == {LIST: "cells/a.html\n", "cells/a.html": "2"}


def test_a_lock_file_of_somebody_else_keeps_its_content(many_nights: Callable[..., Path]) -> None:
    out = many_nights(1)
    (out / ".lock").write_text("theirs", encoding="utf-8")
    assert invoke(["nightly", "--out", str(out), "--rebuild"]) == EXIT_PASS
    assert (out / ".lock").read_text(encoding="utf-8") == "theirs"
