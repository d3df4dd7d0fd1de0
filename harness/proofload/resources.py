"""Finding what a name stands for: in the working directory, then the checkout, then the package's data.

An installed proofload and a checkout behave alike because every name goes through here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
        return _unique([folder for folder in folders if (folder / "make_fixtures.py").is_file()])


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
