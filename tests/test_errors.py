"""Errors: one tree, drawn as it is; a message holds what happened, its evidence, its cause and the next step."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from proofload import errors
from proofload.cli import failure
from proofload.errors import InputError, MeasurementError, ProofloadError, TargetError

NAMES = (
    "ProofloadError", "InputError", "TargetError", "DriverError", "Unavailable", "MeasurementError", "RunFolderError",
)  # fmt: skip


def descendants(root: type[ProofloadError]) -> Iterator[type[ProofloadError]]:
    for child in root.__subclasses__():
        yield child
        yield from descendants(child)


def raised_in(source: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
            yield node


def test_the_tree_drawn_at_the_top_is_the_tree_there_is() -> None:
    drawn = re.findall(r"── (\w+)\s+exit (\d)", errors.__doc__ or "")
    there = [
        (kind.__name__, str(kind.exit_code))
        for kind in descendants(ProofloadError)
        if kind.__module__ == errors.__name__
    ]
    assert sorted(drawn) == sorted(there)
    assert set(NAMES) == {"ProofloadError", *(name for name, _ in drawn)}


def test_exit_codes_tell_a_verdict_from_a_failure_to_reach_one() -> None:
    assert (errors.EXIT_PASS, errors.EXIT_FAIL) == (0, 1)
    assert (errors.EXIT_BAD_INPUT, errors.EXIT_NO_VERDICT, errors.EXIT_INTERRUPTED) == (2, 3, 130)
    assert InputError("x").exit_code == TargetError("x").exit_code == 2
    assert MeasurementError("x").exit_code == 3
    assert errors.EXIT_FAIL not in {kind.exit_code for kind in descendants(ProofloadError)}


def test_a_message_says_what_happened_evidence_cause_and_next_step_in_this_order() -> None:
    error = TargetError("it died", evidence="line 1\nline 2\n", cause="no memory", remedy="give it more")
    assert str(error).splitlines() == [
        "it died",
        "evidence: line 1",
        "  line 2",
        "likely cause: no memory",
        "next: give it more",
    ]


def test_a_message_leaves_out_what_is_not_known() -> None:
    assert str(InputError("the file is empty")) == "the file is empty"
    assert str(InputError("the file is empty", remedy="write it")) == "the file is empty\nnext: write it"


def test_a_shown_error_has_the_same_four_parts(capsys: pytest.CaptureFixture[str]) -> None:
    failure.show(TargetError("it died", evidence="segfault", cause="a bad wheel", remedy="reinstall it"))
    told = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert told == ["error: it died", "evidence: segfault", "likely cause: a bad wheel", "next: reinstall it"]


def test_control_characters_of_a_server_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    failure.show(TargetError("it died", evidence="\x1b[2Jgone\x07"))
    assert not set("\x1b\x07") & set(capsys.readouterr().err)


def test_every_error_raised_on_purpose_tells_more_than_what_happened(checkout: Path) -> None:
    """A next step, or at least evidence or a cause."""
    mute = [
        f"{source.relative_to(checkout)}:{call.lineno}"
        for source in sorted((checkout / "harness" / "proofload").rglob("*.py"))
        for call in raised_in(source)
        if not any(word.arg in {None, "evidence", "cause", "remedy"} for word in call.keywords)
    ]
    assert not mute, "\n".join(mute)
