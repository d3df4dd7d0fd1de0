"""`proofload init`: a starter scenario, target and workflow, in a repository that has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from proofload.errors import InputError

_STARTER = Path(__file__).resolve().parents[1] / "starter"
_STAND_IN = {
    "targets/mine.target.toml": "targets/mine.target.toml",
    "targets/stand_in_server.py": "targets/stand_in_server.py",
}
_RUNNING = {"targets/mine.target.toml": "targets/running.target.toml"}
_ALWAYS = {
    "targets/payloads.jsonl": "targets/payloads.jsonl",
    "scenarios/steady.scenario.toml": "scenarios/steady.scenario.toml",
    "tests/test_proofload.py": "tests/test_proofload.py",
    ".github/workflows/proofload.yml": "github/workflows/proofload.yml",
}
_NIGHTLY = {
    "nightly.toml": "nightly.toml",
    ".github/workflows/proofload-nightly.yml": "github/workflows/proofload-nightly.yml",
    ".github/workflows/proofload-pairs.yml": "github/workflows/proofload-pairs.yml",
    "proofload.gitlab-ci.yml": "gitlab/proofload.gitlab-ci.yml",
}
"""What is written, and from what."""
PLANNED = ("scenarios/steady.scenario.toml", "targets/mine.target.toml")
"""What nightly.toml names: where both are, the starter is."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The repository; absent: where you are.")] = Path(),
    *,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="A server that runs already; absent: a stand-in is written.")
    ] = None,
    nightly: Annotated[
        bool,
        typer.Option("--nightly", help="A plan for nights too, and workflows for nights and pull requests."),
    ] = False,
) -> None:
    """Write a starter scenario, target, test and CI workflow.

    Nothing is written over: where one of the files exists, none is written. With --nightly the scenario and the
    target of an earlier `proofload init` may be there: only what nights need is written.
    """
    from proofload.cli.speaking import out

    if url is not None and not url.startswith(("http://", "https://")):
        raise InputError(
            f"--url {url} is not an http:// or https:// URL",
            remedy="leave it out, then edit targets/mine.target.toml: grpc and kafka are written there",
        )
    starter = {**(_STAND_IN if url is None else _RUNNING), **_ALWAYS}
    begun = nightly and all((folder / name).exists() for name in PLANNED)
    files = {**({} if begun else starter), **(_NIGHTLY if nightly else {})}
    _refuse_to_overwrite(folder, list(files))
    for name, source in files.items():
        text = (_STARTER / source).read_text(encoding="utf-8")
        _write(folder / name, text.replace("@URL@", json.dumps(url, ensure_ascii=False)))
        out(f"wrote {folder / name}")
    if nightly:
        out(f"next: edit {folder / 'nightly.toml'}, then: proofload nightly --dry-run")
        return
    first = "" if folder == Path() else f"cd {folder} && "
    yours = (
        "targets/mine.target.toml starts a stand-in: put your server's command, or its URL, in its place"
        if url is None
        else "targets/payloads.jsonl holds examples: put requests in it that your server understands"
    )
    out(
        f"next: {first}pytest scenarios/ --junitxml=proofload.xml   (quick; --proofload-full runs it in full)\n"
        f"      {yours}"
    )


def _refuse_to_overwrite(folder: Path, names: list[str]) -> None:
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise InputError(
            f"{folder.absolute()} has some of these files already, and nothing was written",
            evidence=", ".join(there),
            remedy="move them away, or name another folder: proofload init DIR",
        )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise InputError(f"cannot write {path}", evidence=str(exc), remedy="name a folder that can be written") from exc
