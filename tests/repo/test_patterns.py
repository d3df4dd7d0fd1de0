"""The page of serving patterns speaks of what there is: files, flags, models, and commands that are understood."""

from __future__ import annotations

import json
import re
import shlex
import tomllib

import pytest
from tests.repo.test_repository import ROOT

from proofload.comparing.asked import understood
from proofload_servers.serving import arguments

PAGE = (ROOT / "docs" / "patterns.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| (`--[^|]+) \| `(proofload compare [^`]+)` \|$", PAGE, re.MULTILINE)
STORE = "http://127.0.0.1:9000/"
FILES = {path.name for path in (ROOT / "targets" / "patterns").iterdir()}


def test_every_file_is_told_and_every_file_told_is_there() -> None:
    assert len(ROWS) >= 8
    assert set(re.findall(r"\$P/([\w.-]+)", PAGE)) == FILES


def test_every_flag_and_model_it_names_exists() -> None:
    flags = {flag for action in arguments("any", "")._actions for flag in action.option_strings}
    for _, switch, _ in ROWS:
        assert set(re.findall(r"--[a-z-]+", switch)) <= flags, switch
    assert set(re.findall(r"target\.model=([\w-]+)", PAGE)) <= set(
        json.loads((ROOT / "fixtures" / "hashes.json").read_text(encoding="utf-8"))
    )


@pytest.mark.parametrize("command", [row[2] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_command_is_one_that_compare_understands(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(command.replace("$P", "targets/patterns"))[2:]
    given: dict[str, list[str]] = {"--target": [], "--scenario": [], "--set": []}
    for flag, value in zip(words[::2], words[1::2], strict=True):
        given[flag].append(value)
    asked = understood(
        given["--target"], given["--scenario"], settings=given["--set"], payloads=None, pairs=None, quick=True,
        device=None, runtime=None,
    )  # fmt: skip
    assert len(asked.labels) == len(given["--target"]) == len(set(asked.labels))
    for situation in asked.situations:
        assert all(target.start is not None for target in situation.targets)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_differs_from_fastapis_own_in_its_switch_alone(name: str) -> None:
    """Each is whole, so that it can be read and copied alone; what they have in common is kept the same here."""
    own, pattern = (
        tomllib.loads((ROOT / path).read_text(encoding="utf-8"))
        for path in ("reference_servers/proofload_servers/fastapi_app/target.toml", f"targets/patterns/{name}")
    )
    words, switched = own["start"].pop("command"), pattern["start"].pop("command")
    for key in ("name", "description", "model", "container"):
        own.pop(key), pattern.pop(key, None)
    assert pattern == own
    flag, value = switched[3:5]
    assert flag.startswith("--")
    assert [*words[:3], flag, value, *words[3:]] == [word.removeprefix(STORE) for word in switched]
