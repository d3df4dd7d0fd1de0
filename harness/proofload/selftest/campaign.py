"""The simulated level: every shape of every trial, spread over processes, in parts that can be taken up again."""

from __future__ import annotations

import ast
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import proofload
from proofload.discovery import implementations
from proofload.errors import Unavailable
from proofload.records import Status
from proofload.selftest import Trial
from proofload.selftest.simulated import Tally, tally

_ENOUGH = 50
"""Expected false alarms below which a bound is too wide to say that a rate is exceeded."""
_PART = 500
"""Histories decided about in one go by one process."""
SLACK = 1.3
"""An upper bound of a false-alarm rate may exceed the stated rate by this factor, for want of more histories."""


@dataclass(frozen=True, slots=True)
class Trialled:
    """One shape's tally, with the trial it belongs to."""

    scenario: str
    decides: str
    trial: str
    tally: Tally

    @property
    def kept(self) -> bool | None:
        """Whether the stated rates were kept; None: none is stated, or there were too few histories to tell."""
        shape = self.tally.shape
        if shape.kind in {"null", "coverage"} and shape.alpha is not None:
            return self._kept(Status.FAIL, shape.alpha)
        if shape.kind == "effect" and (shape.detect is not None or shape.alpha is not None):
            found = True if shape.detect is None else self._found(shape.detect)
            kept = True if shape.alpha is None else self._kept(Status.PASS, shape.alpha)
            return False if False in {found, kept} else None if None in {found, kept} else True
        return None

    def _kept(self, wrong: Status, alpha: float) -> bool | None:
        """Whether the upper bound of a wrong verdict's share is near enough to the stated one; None: too few."""
        seen = self.tally
        if seen.upper(wrong) <= SLACK * alpha:
            return True
        enough = seen.histories >= _ENOUGH / alpha
        return False if enough or seen.lower(wrong) > alpha else None

    def _found(self, detect: float) -> bool | None:
        """Whether an effect is found as often as stated; None: too few histories to say that it is not."""
        seen = self.tally
        if seen.share(Status.FAIL) >= detect:
            return True
        enough = seen.histories >= _ENOUGH / (1.0 - detect)
        return False if enough or seen.upper(Status.FAIL) < detect else None


def trials(scenario: str | None = None) -> dict[str, Trial]:
    """All trials by name, or those of one scenario. Raises Unavailable when one cannot be loaded: a self-test
    that leaves something out unasked would look better than it is."""
    found: dict[str, Trial] = {}
    for name, one in implementations("trial").items():
        if one.module is None:
            raise Unavailable(f"the trial {name} cannot be loaded", evidence=one.reason)
        trial: Trial = one.module.create()
        if scenario is None or trial.scenario == scenario:
            found[name] = trial
    return found


def campaign(
    chosen: dict[str, Trial], histories: int, *, seed: int, kept: Path, told: Callable[[str, int, int], None]
) -> Iterator[Trialled]:
    """Decide about `histories` histories of every shape. `told(trial, done, of)` hears of the progress, in shapes.

    The outcome depends on the seed and on nothing else: not on the number of processes, nor on their order. What
    is decided is kept in the file `kept`, and not decided again as long as the code is the same.
    """
    shapes = [(name, trial, shape) for name, trial in chosen.items() for shape in trial.shapes()]
    codes = {name: _fingerprint(trial) for name, trial in chosen.items()}
    known = _known(kept, codes, seed, histories)
    size = max(1, min(_PART, -(-histories // (os.cpu_count() or 1))))
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool, kept.open("a", encoding="utf-8") as file:
        for number, (name, trial, shape) in enumerate(shapes):
            told(name, number, len(shapes))
            counts = known.get((name, shape.name))
            if counts is None:
                parts = [
                    (name, shape.name, first, min(size, histories - first), seed) for first in range(0, histories, size)
                ]
                counts = _summed(pool.starmap(_part, parts, chunksize=1))
                row = {"code": codes[name], "seed": seed, "histories": histories, "trial": name, "shape": shape.name}
                file.write("\n" + json.dumps({**row, "counts": {str(key): count for key, count in counts.items()}}))
                file.flush()
            yield Trialled(trial.scenario, trial.decides, name, Tally(shape, histories, counts))


def _fingerprint(trial: Trial) -> str:
    """Of the code that a trial's histories and decisions are made of: its module, and all of ours that it imports."""
    root = Path(proofload.__file__).parent.parent
    waiting, files = [type(trial).__module__, f"{__package__}.simulated"], set[Path]()
    while waiting:
        module = root.joinpath(*waiting.pop().split("."))
        for file in (module.with_suffix(".py"), module / "__init__.py"):
            if file.exists() and file not in files:
                files.add(file)
                waiting += _imported(file)
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _imported(file: Path) -> Iterator[str]:
    """The modules of ours that a file imports, by any name that could be one."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("proofload"):
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("proofload."))


def _known(kept: Path, codes: Mapping[str, str], seed: int, histories: int) -> dict[tuple[str, str], dict[Status, int]]:
    """What was decided before by the same code, of the same histories. A line cut off by a kill is left out: a line
    begins with its line break, so that none is ever appended to half a line."""
    found: dict[tuple[str, str], dict[Status, int]] = {}
    for line in kept.read_text(encoding="utf-8").splitlines() if kept.exists() else ():
        with suppress(json.JSONDecodeError):
            row = json.loads(line)
            if (row["code"], row["seed"], row["histories"]) == (codes.get(row["trial"]), seed, histories):
                counts = {Status(status): count for status, count in row["counts"].items()}
                found[row["trial"], row["shape"]] = counts
    return found


def _part(trial: str, shape: str, first: int, count: int, seed: int) -> dict[Status, int]:
    """One part, in a process of its own; shapes hold functions and so do not travel."""
    module = implementations("trial")[trial].module
    assert module is not None  # `trials` loaded it before
    [found] = [one for one in module.create().shapes() if one.name == shape]
    return tally(found, count, seed=seed, first=first).counts


def _summed(parts: Sequence[dict[Status, int]]) -> dict[Status, int]:
    counts: dict[Status, int] = {}
    for part in parts:
        for status, count in part.items():
            counts[status] = counts.get(status, 0) + count
    return counts
