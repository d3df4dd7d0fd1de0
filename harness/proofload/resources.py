"""Finding what a name stands for: in the working directory, then the checkout, then the package's data.

An installed proofload and a checkout behave alike because every name goes through here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from proofload.errors import InputError, Unavailable

TARGET_PATTERNS = ("*.target.toml", "targets/*.target.toml", "reference_servers/proofload_servers/*/target.toml")
SCENARIO_PATTERNS = ("*.scenario.toml", "scenarios/*.scenario.toml")


@dataclass(frozen=True, slots=True)
class Listed:
    """One file that can be named. `problem` says why it cannot be used, or is empty."""

    name: str
    description: str
    path: Path
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """The three places, in the order in which they are asked."""

    working: Path
    checkout: Path | None
    """The root of a source checkout; None where proofload was installed from a wheel."""
    package: Path
    """The folder of the package `proofload`."""

    @staticmethod
    def here() -> Layout:
        package = Path(__file__).resolve().parent
        root = package.parents[1]
        is_checkout = package.parent.name == "harness" and (root / "pyproject.toml").is_file()
        return Layout(working=Path.cwd(), checkout=root if is_checkout else None, package=package)

    def target_files(self) -> Sequence[Path]:
        """Every target file, the ones that win first."""
        return _unique(
            [
                *_matching(self.working, TARGET_PATTERNS),
                *_matching(self.checkout, TARGET_PATTERNS),
                *_matching(self.package.parent, ("proofload_servers/*/target.toml",)),
            ]
        )

    def scenario_files(self) -> Sequence[Path]:
        """Every scenario file, the ones that win first."""
        return _unique(
            [
                *_matching(self.working, SCENARIO_PATTERNS),
                *_matching(self.checkout, SCENARIO_PATTERNS),
                *_matching(self.package, ("data/scenarios/*.scenario.toml",)),
            ]
        )

    def fixture_sources(self) -> Sequence[Path]:
        """Every folder that holds the fixture builders, the one that wins first."""
        folders = [self.working / "fixtures", self.package / "data" / "fixtures"]
        if self.checkout is not None:
            folders.insert(1, self.checkout / "fixtures")
        return _unique([folder for folder in folders if _makes_fixtures(folder)])

    def price_tables(self) -> Sequence[Path]:
        """Every price table, the one that wins first: ./prices.toml, then the one that comes with proofload."""
        tables = [self.working / "prices.toml", *(folder / "prices.toml" for folder in self.fixture_sources()[:1])]
        return _unique([table for table in tables if table.is_file()])


MODEL_FILES = ("model.onnx", "model.json", "payloads.jsonl")
"""What a built model's folder holds."""


def fixtures_dir(layout: Layout | None = None) -> Path:
    """Where built models are or would be: $PROOFLOAD_FIXTURES, ./fixtures/build, the checkout's, else a cache."""
    layout = layout or Layout.here()
    named = os.environ.get("PROOFLOAD_FIXTURES")
    if named:
        return Path(named).absolute()
    for root in (layout.working, layout.checkout):
        if root is not None and _has_fixtures(root / "fixtures"):
            return root / "fixtures" / "build"
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path(os.environ.get("HOME") or "~").expanduser() / ".cache")
    return Path(cache).absolute() / "proofload" / "fixtures"


def ensure_fixtures(model: str, say: Callable[[str], None] = lambda _: None, layout: Layout | None = None) -> Path:
    """The folder of a built model, built first when it is missing (some ten seconds; `say` is told).

    Raises InputError when the model is neither there nor one that can be built, Unavailable when building fails.
    """
    layout = layout or Layout.here()
    home = fixtures_dir(layout)
    if not all((home / model / name).is_file() for name in MODEL_FILES):
        say(f"building the model {model} and its payloads in {home} (once)")
        _build(model, home, layout)
    return home / model


def build_fixtures(models: Sequence[str] = (), layout: Layout | None = None) -> Path:
    """Build these models (none named: all) where they are missing or out of date; returns the folder they are in.

    The builder says on standard output what it did to each.
    """
    layout = layout or Layout.here()
    home = fixtures_dir(layout)
    _run_builder(models, home, layout, capture=False)
    return home


def _build(model: str, home: Path, layout: Layout) -> None:
    _run_builder([model], home, layout, capture=True)
    missing = [name for name in MODEL_FILES if not (home / model / name).is_file()]
    if missing:
        raise InputError(
            f"the model {model} was not built",
            evidence=f"{home / model} lacks {', '.join(missing)}",
            remedy="`proofload fixtures` lists the models there are",
        )


def _run_builder(models: Sequence[str], home: Path, layout: Layout, *, capture: bool) -> None:
    sources = layout.fixture_sources()
    if not sources:
        raise Unavailable(
            "this installation has no fixture builders",
            evidence="no fixtures/make_fixtures.py in the working directory, the checkout or the package",
            remedy="install the complete wheel, or set PROOFLOAD_FIXTURES to a folder of built models",
        )
    chosen = [argument for model in models for argument in ("--only", model)]
    command = [sys.executable, str(sources[0] / "make_fixtures.py"), "--out", str(home), *chosen]
    done = subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.STDOUT if capture else subprocess.PIPE,
        text=True,
    )
    said = f"{done.stdout or ''}{done.stderr or ''}".strip()
    if "invalid choice" in said:
        raise InputError(
            f"there is no model named {' or '.join(models)}",
            evidence=said.splitlines()[-1],
            remedy="correct `model` in the target file",
        )
    if done.returncode != 0:
        raise Unavailable(
            f"building {', '.join(models) or 'the models'} failed",
            evidence="\n".join(said.splitlines()[-12:]) or f"exit status {done.returncode}",
            cause="the libraries that build models (onnx, skl2onnx, scikit-learn) are missing",
            remedy="pip install 'proofload[servers]', then `proofload fixtures`",
        )


def _has_fixtures(folder: Path) -> bool:
    return _makes_fixtures(folder) or any((folder / "build").glob("*/model.json"))


def first_comment(path: Path) -> str:
    """The text of the file's first line if that is a comment: what a listing says of a file without `description`."""
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline()
    return line.lstrip("# ").rstrip().rstrip(".") if line.startswith("#") else ""


def _makes_fixtures(folder: Path) -> bool:
    return (folder / "make_fixtures.py").is_file()


def _matching(root: Path | None, patterns: Sequence[str]) -> Iterator[Path]:
    if root is None:
        return
    for pattern in patterns:
        yield from sorted(path for path in root.glob(pattern) if path.is_file())


def _unique(paths: Sequence[Path]) -> list[Path]:
    seen: dict[Path, Path] = {}
    for path in paths:
        seen.setdefault(path.resolve(), path.absolute())
    return list(seen.values())
