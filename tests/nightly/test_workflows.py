"""The workflow files that `proofload init --nightly` writes: they parse, and what they call exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from proofload.cli.app import app, invoke
from proofload.comparing.asked import understood
from proofload.nightly.plan import read_plan

GITHUB = (".github/workflows/proofload-nightly.yml", ".github/workflows/proofload-pairs.yml")
GITLAB = "proofload.gitlab-ci.yml"


@pytest.fixture(autouse=True)
def _in_a_folder_with_the_starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["init", "--nightly"]) == 0


def read(name: str) -> dict[Any, Any]:
    document = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def scripts(name: str) -> list[str]:
    document = read(name)
    if name == GITLAB:
        return [line for job in document.values() for key in ("before_script", "script") for line in job.get(key, ())]
    return [step["run"] for job in document["jobs"].values() for step in job["steps"] if "run" in step]


def calls(name: str) -> Iterator[list[str]]:
    """The words of each call of proofload."""
    for script in scripts(name):
        for line in script.splitlines() if "\n" in script.strip() else [script]:
            if line.strip().startswith("proofload "):
                yield shlex.split(line.partition("||")[0], comments=True)[1:]


@pytest.mark.parametrize("name", [*GITHUB, GITLAB])
def test_every_call_is_of_a_command_with_the_options_it_has(name: str) -> None:
    commands: Any = typer.main.get_command(app)
    found = list(calls(name))
    assert found
    for words in found:
        command = commands.commands[words[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("name", GITHUB)
def test_github_finds_what_it_needs(name: str) -> None:
    document = read(name)
    assert document[True]  # YAML 1.1 takes the word `on` for a truth
    for job in document["jobs"].values():
        assert job["runs-on"]
        assert job["timeout-minutes"] <= 360
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert not re.search(r"\$\{\{", step.get("run", "")), "texts of a pull request stay out of the shell"


def test_gitlab_runs_nights_on_schedules_and_pairs_on_merge_requests() -> None:
    document = read(GITLAB)
    rules = {name: job["rules"][0]["if"] for name, job in document.items() if "rules" in job}
    assert '"schedule"' in rules["proofload-nightly"]
    assert '"merge_request_event"' in rules["proofload-pairs"]
    assert document["proofload-nightly"]["cache"]["paths"] == ["out/nightly"]


def test_inconclusive_does_not_stop_a_merge_and_worse_does() -> None:
    for name in GITHUB:
        assert any("|| test $? -eq 3" in script for script in scripts(name))
    assert all(job["allow_failure"] == {"exit_codes": 3} for job in read(GITLAB).values() if "script" in job)


def test_the_plan_can_be_followed() -> None:
    assert [cell.name for cell in read_plan(None).cells()] == ["steady.mine.cpu"]


def test_the_pairs_are_told_apart() -> None:
    """Both target files call themselves the same: one is the other's older version."""
    (words,) = calls(GITHUB[1])
    for folder in ("before", "after"):
        assert invoke(["init", folder]) == 0
    targets = [words[at + 1] for at, word in enumerate(words) if word == "--target"]
    scenario = words[words.index("--scenario") + 1]
    settings = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
    assert understood(targets, [scenario], settings=settings, quick=True).labels == ("before", "after")
