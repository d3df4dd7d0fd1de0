"""The split inside the load generator."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from proofload.drivers import Stage, client
from proofload.errors import InputError


class Splits:
    def __init__(self) -> None:
        self.asked: list[Mapping[int, float]] = []

    def __call__(self, shares: Mapping[int, float]) -> None:
        self.asked.append(shares)


def stage(splits: Splits, folder: Path) -> Stage:
    nobody = cast("Any", None)
    return Stage(nobody, nobody, splits, folder, nobody, "salt")


def test_it_starts_on_the_baseline_moves_and_returns_there_however_it_ends(tmp_path: Path) -> None:
    splits = Splits()

    def cut_short() -> None:
        with client.create({}).open(stage(splits, tmp_path)) as traffic:
            assert traffic.route.target is None
            traffic.move(0.25)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        cut_short()
    assert splits.asked == [{0: 1.0, 1: 0.0}, {0: 0.75, 1: 0.25}, {0: 1.0, 1: 0.0}]


def test_it_has_no_keys() -> None:
    with pytest.raises(InputError, match="no key 'wieght'"):
        client.create({"wieght": 3})


def test_the_planted_defect_is_refused_unless_faults_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROOFLOAD_ALLOW_FAULTS", raising=False)
    with pytest.raises(InputError, match="planted defect"):
        client.create({"unstable": True})


def test_the_planted_defect_swings_and_stops_swinging(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROOFLOAD_ALLOW_FAULTS", "1")
    monkeypatch.setattr(client, "_RESTLESS_S", 0.001)
    splits = Splits()
    with client.create({"unstable": True}).open(stage(splits, tmp_path)) as traffic:
        traffic.move(0.2)
        while len(splits.asked) < 6:
            time.sleep(0.001)
    assert {round(shares[1], 3) for shares in splits.asked} == {0.0, 0.2, 0.1, 0.3}
    ended = len(splits.asked)
    time.sleep(0.01)
    assert len(splits.asked) == ended
    assert splits.asked[-1] == {0: 1.0, 1: 0.0}
