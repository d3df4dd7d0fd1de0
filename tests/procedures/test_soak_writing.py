"""What a target writes to files that it does not hold open, in a soak."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.procedures.test_soak_in_virtual_time import HEALTHY, MIB, named, soaked

from proofload.records import Result, Status

ALLOWED = 5.69
"""MiB/s: a fifth of 10 GiB within a tenth of an hour."""


def wrote(path: Path, written: float, used: float | None, held: float = 0.0) -> Result:
    """`written`, `used` and `held` in MiB/s."""
    series = {**HEALTHY, "files_bytes": lambda t: held * MIB * t, "written_bytes": lambda t: written * MIB * t}
    if used is not None:
        series["disk_used_bytes"] = lambda t: 5000 * MIB + used * MIB * t
    return soaked(path, series)


@pytest.mark.parametrize(
    ("written", "used", "status", "says"),
    [
        (0.9, 40.0, Status.PASS, "0.9"),
        (18.0, 18.5, Status.FAIL, "its disk filled by 18.5"),
        (18.0, 0.0, Status.PASS, "replaces what was there"),
        (18.0, -5.0, Status.PASS, "filled by 0 MiB/s"),
        (18.0, 9.0, Status.INCONCLUSIVE, "others may have written"),
        (18.0, None, Status.INCONCLUSIVE, "was not read"),
    ],
)
def test_files_that_are_not_held_open_are_seen_by_what_was_written_and_by_what_the_disk_holds(
    tmp_path: Path, written: float, used: float | None, status: Status, says: str
) -> None:
    result = wrote(tmp_path, written, used)
    check = named(result)["disk-written"]
    assert (check.status, check.cause) == (status, "disk-growth" if status is Status.FAIL else "")
    assert check.limit == ALLOWED
    assert says in check.evidence
    assert bool(check.settle) is (status is Status.INCONCLUSIVE)
    assert result.status is status
    if status is Status.FAIL:
        assert "files it writes grow without end: it wrote 18.0 MiB/s" in result.headline[0]


def test_what_is_written_to_files_that_are_held_open_is_told_once(tmp_path: Path) -> None:
    checks = named(wrote(tmp_path / "log", 18.0, 18.0, held=18.0))
    assert checks["disk-growth"].status is Status.FAIL
    assert "disk-written" not in checks


def test_what_nothing_tells_of_is_no_check(tmp_path: Path) -> None:
    assert "disk-written" not in named(soaked(tmp_path, HEALTHY))
