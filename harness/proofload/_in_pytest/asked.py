"""What was asked of pytest: which scenario files, and how they are to be run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SUFFIX = ".scenario.toml"
NOT_SHARED = (
    "proofload does not measure under pytest-xdist: tests that run at the same time take the cores from each other "
    "and from the server, and the figures would be theirs. Run the scenarios in a pytest of their own, without -n "
    "(or with -n 0)."
)
_PASSED_OVER = pytest.StashKey[int]()


@dataclass(frozen=True, slots=True)
class Asked:
    """The options, with paths as they were meant where pytest was typed."""

    base: Path
    """Where runs take place and names are looked up: the repository's root where pytest has a file of its
    configuration there, else the folder where pytest was typed."""
    full: bool
    targets: tuple[str, ...]
    settings: tuple[str, ...]
    payloads: str | None
    runtime: str | None
    device: str | None
    out: Path | None
    inconclusive: str
    """ "report", "fail" or "allow"."""

    @staticmethod
    def of(config: pytest.Config) -> Asked:
        typed_in = config.invocation_params.dir
        option = config.option
        return Asked(
            base=typed_in if config.inipath is None else config.rootpath,
            full=option.proofload_full,
            targets=tuple(_absolute(name, typed_in) for name in option.proofload_target),
            settings=tuple(option.proofload_set),
            payloads=None if option.proofload_payloads is None else str(typed_in / option.proofload_payloads),
            runtime=option.proofload_runtime,
            device=option.proofload_device,
            out=None if option.proofload_out is None else typed_in / option.proofload_out,
            inconclusive=option.proofload_inconclusive,
        )


def is_asked_for(config: pytest.Config, path: Path) -> bool:
    """Whether this scenario file was asked for: named, in a folder that was named, or all are. One that lies deeper in
    such a folder is not (`pytest tests` is for tests), and is counted."""
    found, named = path.resolve(), list(_named(config))
    if config.option.proofload or {found, found.parent} & set(named):
        return True
    if any(found.is_relative_to(folder) for folder in named):
        config.stash[_PASSED_OVER] = config.stash.get(_PASSED_OVER, 0) + 1
    return False


def passed_over(config: pytest.Config) -> str | None:
    """What to tell of the scenario files that lie deeper in a folder that was named."""
    if not (count := config.stash.get(_PASSED_OVER, 0)):
        return None
    them = "a scenario file" if count == 1 else f"{count} scenario files"
    return f"proofload: {them} in deeper folders not run; name the folder that holds them, or add --proofload"


def refuse_to_share(config: pytest.Config) -> None:
    """Raises UsageError where scenarios are to be spread over processes."""
    if config.option.proofload or any(
        named.name.endswith(SUFFIX) or any(named.glob(f"*{SUFFIX}")) for named in _named(config)
    ):
        raise pytest.UsageError(NOT_SHARED)


def is_a_worker(config: pytest.Config) -> bool:
    """Whether this process is one of several of pytest-xdist."""
    return hasattr(config, "workerinput") or bool(os.environ.get("PYTEST_XDIST_WORKER"))


def _named(config: pytest.Config) -> Iterator[Path]:
    """The files and folders that were named, without those that mean "everything here", or above."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return
    typed_in = config.invocation_params.dir
    here = [typed_in.resolve(), *([config.rootpath.resolve()] if config.inipath is not None else [])]
    for argument in config.args:
        path = (typed_in / str(argument).partition("::")[0]).resolve()
        if not any(place.is_relative_to(path) for place in here):
            yield path


def _absolute(name: str, folder: Path) -> str:
    """A path that leads somewhere from `folder`, made absolute; names and URLs as they are."""
    return str(folder / name) if "://" not in name and (folder / name).exists() else name
