"""Histories of nights, made up: how often a change is found, when, how well it is dated, and what is told of nothing.

    python benchmarks/change_points.py [--histories N] [--only WORD] [--seed S]

A history is a matrix of 60 courses (5 scenarios × 4 targets × 3 figures) over 60 nights, looked at after each. One
course may hold a change, planted at a night drawn from the middle third. The exit code is 0 when what is promised of
the plain kind holds: nothing told in 95 of 100 histories without a change; of a 5 % regression under 3 % noise, 95 of
100 found and 80 dated to within two nights.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from proofload.analysis.change_points import Course, outlooks

NIGHTS = 60
COURSES = 60
FIGURES = 3
PLANTED = (20, 40)
NOISE = 0.03
NEAR = 2


@dataclass(frozen=True, slots=True)
class Kind:
    """How nights are made. Noise and effects are relative."""

    name: str
    effect: float = 0.0
    dependence: tuple[float, float] = (0.0, 0.0)
    """Each course's correlation of successive nights is drawn from this range."""
    outliers: float = 0.0
    """Share of nights that are slower by 10 to 40 %."""
    noise: tuple[float, float] = (NOISE, NOISE)
    courses: int = COURSES
    nights: int = NIGHTS
    shared: float = 0.0
    """Part of the noise's variance that all courses of a night have in common."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was told of one history."""

    false: int
    """Changes told that are none."""
    delay: int | None = None
    """Nights with the change before it was told; None: it was not."""
    off: int | None = None
    """Nights between the change and the date that was told."""


PLAIN = Kind("plain")
KINDS = (
    PLAIN,
    *(Kind(f"{effect:.0%} planted", effect) for effect in (0.03, 0.05, 0.07, 0.1, 0.2)),
    Kind("nights depend, 0.3", dependence=(0.3, 0.3)),
    Kind("nights depend, 0.5", dependence=(0.5, 0.5)),
    Kind("nights depend, 0 to 0.6", dependence=(0.0, 0.6)),
    Kind("5% planted, nights depend, 0.3", 0.05, dependence=(0.3, 0.3)),
    Kind("10% planted, nights depend, 0.3", 0.1, dependence=(0.3, 0.3)),
    Kind("outliers, 5% of nights", outliers=0.05),
    Kind("5% planted, outliers, 5% of nights", 0.05, outliers=0.05),
    Kind("noise of 1 to 10%", noise=(0.01, 0.1)),
    Kind("half of the noise shared", shared=0.5),
    Kind("one course", courses=1),
    Kind("5% planted, one course", 0.05, courses=1),
    Kind("240 courses", courses=240),
    Kind("120 nights", nights=120),
)


def history(kind: Kind, rng: np.random.Generator) -> tuple[dict[int, Course], int]:
    """Courses by number, and the first night of the change, which is in course 0."""
    shape = (kind.courses, kind.nights)
    own = rng.normal(size=shape)
    if kind.shared:
        own = np.sqrt(1.0 - kind.shared) * own + np.sqrt(kind.shared) * rng.normal(size=kind.nights)
    phi = rng.uniform(*kind.dependence, kind.courses)[:, None]
    noise = _dependent(own, phi) * rng.uniform(*kind.noise, kind.courses)[:, None]
    values = rng.uniform(5.0, 500.0, kind.courses)[:, None] * (1.0 + noise)
    values *= np.where(rng.random(shape) < kind.outliers, rng.uniform(1.1, 1.4, shape), 1.0)
    planted = int(rng.integers(PLANTED[0], PLANTED[1] + 1))
    values[0, planted:] *= 1.0 + kind.effect
    nights = np.arange(kind.nights)
    rows = enumerate(np.maximum(values, 1e-9))
    return {number: Course(nights, row, kind=str(number % FIGURES)) for number, row in rows}, planted


def _dependent(own: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.float64]:
    out = own.copy()
    for night in range(1, own.shape[1]):
        out[:, night] = phi[:, 0] * out[:, night - 1] + np.sqrt(1.0 - phi[:, 0] ** 2) * own[:, night]
    return out


def seen(kind: Kind, seed: int, number: int) -> Seen:
    courses, planted = history(kind, np.random.default_rng([seed, number]))
    told = [(key, change) for key, one in outlooks(courses).items() for change in one.changes]
    hits = [change for key, change in told if kind.effect and key == 0 and change.told >= planted and change.worse][:1]
    if not hits:
        return Seen(len(told))
    return Seen(len(told) - 1, hits[0].told - planted + 1, hits[0].at - planted)


def summary(all_seen: Sequence[Seen]) -> dict[str, float]:
    n = len(all_seen)
    delays = sorted(one.delay for one in all_seen if one.delay is not None)
    return {
        "quiet": sum(one.false == 0 for one in all_seen) / n,
        "found": len(delays) / n,
        "dated": sum(one.off is not None and abs(one.off) <= NEAR for one in all_seen) / n,
        "median delay": delays[len(delays) // 2] if delays else float("nan"),
    }


def kept(kind: Kind, figures: dict[str, float]) -> bool:
    if kind == PLAIN:
        return figures["quiet"] >= 0.95
    if replace(kind, name="") == Kind("", 0.05):
        return figures["found"] >= 0.95 and figures["dated"] >= 0.80
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=1000, help="of each kind")
    parser.add_argument("--only", default="", help="the kind of this name, or those whose names hold it")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    print("| history | quiet | found | dated ±2 | nights until told (median) |")
    print("| --- | ---: | ---: | ---: | ---: |", flush=True)
    fine = True
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for kind in [one for one in KINDS if one.name == asked.only] or [
            one for one in KINDS if asked.only in one.name
        ]:
            figures = summary(pool.map(partial(seen, kind, asked.seed), range(asked.histories), 4))
            fine &= kept(kind, figures)
            effect = [f"{figures['found']:.1%}", f"{figures['dated']:.1%}", f"{figures['median delay']:.0f}"]
            print(f"| {kind.name} | {figures['quiet']:.1%} | {' | '.join(effect if kind.effect else ['', '', ''])} |",
                  flush=True)  # fmt: skip
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
