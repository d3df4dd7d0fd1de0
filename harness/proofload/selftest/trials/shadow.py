"""Shadows on simulated blocks of requests: bursts, stalls of one side, slow drifts, disagreement that comes in runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proofload.records import Status
from proofload.selftest import Shape
from proofload.verdict.shadow import Compared, Side, Tolerance, agreement, compared

_BLOCKS = 30
_EACH = 100
_WHOLE = 0.001
_FAIL, _PASS = _WHOLE / 8, 0.01
_BOUNDARY = 0.01
"""The error rate of a fail in shapes that lie exactly on the tolerance: one in seven thousand could not be counted."""
_TOLERANCE = Tolerance()
_TOLERATED = 0.005
_PAIRS = 1500


def create() -> Shadow:
    return Shadow()


class Shadow:
    """See `proofload.selftest.Trial`."""

    scenario = "shadow"
    decides = "the shadow disagrees, fails or is slower than the primary, or the users notice the copies"

    def shapes(self) -> Sequence[Shape]:
        return [*_agreements(), *_sides()]


def _agreements() -> list[Shape]:
    def shape(what: str, kind: str, share: float, alpha: float, run: int = 1, **more: object) -> Shape:
        def one(rng: np.random.Generator) -> Status:
            different = np.repeat(rng.random(_PAIRS // run) < share, run)
            return agreement(different, _TOLERATED, alpha_fail=alpha, alpha_pass=_PASS).status

        return Shape(f"agreement: {what}", kind, one, alpha=max(alpha, _WHOLE), **more)  # type: ignore[arg-type]  # by keyword

    shapes = [
        shape("none differs", "null", 0.0, _FAIL),
        shape("half of what is tolerated", "null", _TOLERATED / 2, _FAIL),
        shape("exactly what is tolerated", "null", _TOLERATED, _BOUNDARY),
        shape("exactly what is tolerated, in runs of five", "null", _TOLERATED, _BOUNDARY, run=5),
        # No run as short as this one passes what differs more than is tolerated, and says so:
        shape("as much again", "effect", 2 * _TOLERATED, _PASS, magnitude=2.0),
    ]
    for magnitude in (4.0, 6.0, 8.0, 10.0):
        detect = 0.99 if magnitude == 4.0 else None
        shapes.append(
            shape(f"{magnitude:g} times what is tolerated", "effect", magnitude * _TOLERATED, _PASS, detect=detect,
                  magnitude=magnitude, curve="shadow: share of answers that differ")
        )  # fmt: skip
    return shapes


def _sides() -> list[Shape]:
    def shape(what: str, kind: str, world: _World, alpha: float, **more: object) -> Shape:
        def one(rng: np.random.Generator) -> Status:
            return _worst(compared(*world.drawn(rng), _TOLERANCE, alpha_fail=alpha, alpha_pass=_PASS), world.looked_at)

        return Shape(f"sides: {what}", kind, one, alpha=max(alpha, _WHOLE), **more)  # type: ignore[arg-type]  # by keyword

    shapes = [
        shape("alike", "null", _World(), _FAIL),
        shape("alike, one side stalls", "null", _World(stalls=0.1), _FAIL),
        shape("alike, slow drift", "null", _World(drift=0.5), _FAIL),
        shape("alternating blocks, alike, drift and stalls", "null", _World(alternating=True, drift=0.5, stalls=0.05),
              _FAIL),
        shape("median exactly as tolerated", "null", _World(median=1.0, looked_at="median"), _BOUNDARY),
        shape("median exactly as tolerated, alternating", "null",
              _World(median=1.0, alternating=True, drift=0.3, looked_at="median"), _BOUNDARY),
        shape("failures exactly as tolerated", "null", _World(failing=_TOLERANCE.failed, looked_at="failures"),
              _BOUNDARY),
    ]  # fmt: skip
    for magnitude in (1.5, 2.0, 3.0):
        detect = 0.99 if magnitude == 2.0 else None
        shapes.append(
            shape(f"median slower by {magnitude:g} tolerances", "effect", _World(median=magnitude), _PASS,
                  magnitude=magnitude, detect=detect, curve="shadow: median latency")
        )  # fmt: skip
    for share in (0.01, 0.02, 0.03, 0.05):
        magnitude = share / _TOLERANCE.failed
        shapes += [
            shape(f"{share:.0%} fail", "effect", _World(failing=share), _PASS, magnitude=magnitude,
                  detect=0.99 if share == 0.02 else None, curve="shadow: failures"),
            shape(f"{share:.0%} far slower", "effect", _World(far=share), _PASS, magnitude=magnitude,
                  detect=0.99 if share == 0.02 else None, curve="shadow: far slower answers"),
        ]  # fmt: skip
    return shapes


def _worst(found: Compared, looked_at: str) -> Status:
    looks = {"median": found.median, "tail": found.tail, "failures": found.failures}
    seen = {look.ruling.status for name, look in looks.items() if looked_at in ("", name)}
    for status in (Status.FAIL, Status.INCONCLUSIVE):
        if status in seen:
            return status
    return Status.PASS


class _World:
    """Answers of about 2 ms in blocks; harm on the second side. `median` is in tolerances."""

    def __init__(
        self,
        *,
        median: float = 0.0,
        far: float = 0.0,
        failing: float = 0.0,
        stalls: float = 0.0,
        drift: float = 0.0,
        alternating: bool = False,
        looked_at: str = "",
    ) -> None:
        self.looked_at = looked_at
        self._median, self._far, self._failing = median, far, failing
        self._stalls, self._drift, self._alternating = stalls, drift, alternating

    def drawn(self, rng: np.random.Generator) -> tuple[Side, Side]:
        level = 2.0 * np.exp(self._drift * 0.3 * np.sin(2 * np.pi * (np.arange(_BLOCKS) / _BLOCKS + rng.random())))
        level *= np.exp(rng.normal(0.0, 0.05, _BLOCKS))
        if self._alternating:
            turned = rng.integers(0, 2, _BLOCKS // 2)
            pairs = np.arange(_BLOCKS // 2) * 2
            return self._side(rng, level, pairs + turned, harmed=False), self._side(
                rng, level, pairs + 1 - turned, harmed=True
            )
        blocks = np.arange(_BLOCKS)
        return self._side(rng, level, blocks, harmed=False), self._side(rng, level, blocks, harmed=True)

    def _side(
        self, rng: np.random.Generator, level: NDArray[np.float64], blocks: NDArray[np.int64], *, harmed: bool
    ) -> Side:
        block = np.repeat(blocks, _EACH)
        latency = level[block] * np.exp(rng.normal(0.0, 0.4, len(block)))
        if self._stalls:
            stalled = rng.random(_BLOCKS) < self._stalls
            latency += np.where(stalled[block] & (rng.random(len(block)) < 0.15), rng.uniform(5, 150, len(block)), 0.0)
        failed = np.zeros(len(block), np.bool_)
        if harmed:
            latency += self._median * (_TOLERANCE.slower * 2.0 + _TOLERANCE.slower_ms)
            latency += np.where(rng.random(len(block)) < self._far, 200.0, 0.0)
            failed = rng.random(len(block)) < self._failing
        return Side(latency, block, failed, np.zeros(len(block), np.bool_), block)
