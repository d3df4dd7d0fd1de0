"""README: what it tells people to type works, as written.

Files that it shows (`name`: and a block) are put into an empty folder, then its ```console blocks are run there,
in order. `serve` commands stay up, on free ports. Blocks marked `long` are not run: their flags are parsed, what they
name is looked up.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from proofload import errors
from proofload._in_pytest.telling import EXIT_INCONCLUSIVE
from proofload.overrides import parsed
from proofload.runtimes._ports import free_ports
from proofload.scenarios import load_scenario
from proofload.targets import load_target

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PORT = "8000"
SHORT = "--set duration_s=1"
"""Put at the end of each run, where it wins: the question here is whether the command works."""


def commands(kind: str) -> list[str]:
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def files() -> dict[str, str]:
    return dict(re.findall(r"`([\w.-]+\.\w+)`[^\n`]*:\n\n```\w+\n(.*?)^```", README, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the README's files in it."""
    here = tmp_path_factory.mktemp("readme")
    for name, text in files().items():
        (here / name).write_text(text, encoding="utf-8")
    row = ",".join(["0.5"] * 16)
    (here / "rows.csv").write_text(f"id,{','.join(f'x{i}' for i in range(16))}\none,{row}\n", encoding="utf-8")
    return here


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": programs, "PROOFLOAD_FIXTURES": str(ROOT / "fixtures" / "build")}


@pytest.fixture(scope="module")
def serving() -> Iterator[list[subprocess.Popen[str]]]:
    up: list[subprocess.Popen[str]] = []
    yield up
    for server in up:
        server.terminate()
    for server in up:
        server.communicate(timeout=30)


def serve(command: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    server = subprocess.Popen(
        shlex.split(command), cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    said = server.stdout.readline()
    assert "is ready at" in said, (command, said)
    return server


@pytest.mark.real
@pytest.mark.timeout(600)  # more than a dozen commands, of which each may take its minute
def test_every_command_works_as_written(
    folder: Path, environment: dict[str, str], serving: list[subprocess.Popen[str]]
) -> None:
    port = str(free_ports(["it"])["it"])
    for name in files():
        path = folder / name
        path.write_text(path.read_text(encoding="utf-8").replace(PORT, port), encoding="utf-8")
    for written in commands("console"):
        command = written.replace(PORT, port)
        if command.startswith("proofload serve"):
            serving.append(serve(command, folder, environment))
            continue
        shorter = f"{command} {SHORT}" if "proofload run" in command else command
        if "pytest" in command:
            shorter += f" --proofload-{SHORT.removeprefix('--').replace(' ', '=', 1)}"
        done = subprocess.run(
            ["bash", "-c", shorter],
            cwd=folder,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        fine = {0, 1, 3} if "proofload run" in command or "doctor" in command else {0}
        fine = {0, 1, EXIT_INCONCLUSIVE} if "pytest" in command else fine
        assert done.returncode in fine, f"{shorter}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    assert (folder / "scores.csv").is_file()
    assert (folder / "measured" / "report.md").is_file()
    assert "proofload.status" in (folder / "starter" / "proofload.xml").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", commands("console long"))
def test_a_command_too_long_to_run_names_what_exists(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    program, *words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
    if program == "make":
        assert re.search(rf"^{words[0]}:.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return
    assert program == "proofload"
    if words[0] != "run":
        told = subprocess.run([sys.executable, "-m", "proofload", words[0], "--help"], check=True, capture_output=True,
                              text=True, timeout=60)  # fmt: skip
        assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", told.stdout))
        return
    settings = [words[index + 1] for index, word in enumerate(words) if word == "--set"]
    targets = [words[index + 1] for index, word in enumerate(words) if word == "--target"]
    assert {word for word in words if word.startswith("--")} <= {
        "--quick", "--target", "--set", "--out", "--canary", "--reference", "--serving", "--key", "--runtime",
    }  # fmt: skip
    changes = parsed(settings)
    load_scenario(words[1], quick="--quick" in words, overrides=changes.scenario)
    for target in targets:
        load_target(target, overrides=changes.target)


@pytest.mark.parametrize("name", [name for name in files() if name.endswith(".toml")])
def test_a_file_that_it_shows_loads(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    tomllib.loads((folder / name).read_text(encoding="utf-8"))
    if name.endswith(".scenario.toml"):
        assert load_scenario(name, quick=True).name == name.partition(".")[0]
    else:
        assert load_target(name).name == name.partition(".")[0]


def test_the_blocks_are_found() -> None:
    """Or the tests above would pass over an empty list."""
    assert len(commands("console")) >= 12
    assert len(commands("console long")) >= 5
    assert {"requests.jsonl", "mine.target.toml", "started.target.toml", "checkout.scenario.toml"} <= set(files())
    assert not re.findall(r"^```(?:sh|bash|shell)", README, re.MULTILINE), "commands stand in console blocks"


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (ROOT / link).exists(), f"{page.name}: {link}"


def test_every_path_and_make_target_that_it_names_exists() -> None:
    for path in re.findall(r"`((?:harness|fixtures|scenarios|reference_servers|docs)/[\w./-]*)`", README):
        assert (ROOT / path).exists(), path


def test_its_table_of_exit_codes_is_the_programs() -> None:
    (stated,) = re.findall(r"^\|((?: \d+ \|)+)$", README, re.MULTILINE)
    there = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {int(code) for code in re.findall(r"\d+", stated)} == there
