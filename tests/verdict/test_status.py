"""How validity and checks become one status and an exit code."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest

from proofload.records import Check, Interval, Status, Validity
from proofload.verdict.status import exit_code, overall


def check(status: Status) -> Check:
    return Check("p99", status, None, None, "ms", Interval(None, None), "")


GOOD = (Validity("send-lag", ok=True, detail=""),)
BAD = (*GOOD, Validity("clock", ok=False, detail=""))


def test_an_invalid_run_is_invalid_whatever_its_checks_say() -> None:
    for status in Status:
        assert overall(BAD, [check(status)]) is Status.INVALID


def test_no_check_is_no_pass() -> None:
    assert overall(GOOD, []) is Status.INCONCLUSIVE
    assert overall([], []) is Status.INCONCLUSIVE


@pytest.mark.parametrize("several", list(combinations_with_replacement(Status, 3)))
def test_only_passes_make_a_pass_and_any_fail_a_fail(several: tuple[Status, ...]) -> None:
    status = overall(GOOD, map(check, several))
    if Status.INVALID in several:
        assert status is Status.INVALID
    elif Status.FAIL in several:
        assert status is Status.FAIL
    elif Status.INCONCLUSIVE in several:
        assert status is Status.INCONCLUSIVE
    else:
        assert status is Status.PASS


def test_exit_codes() -> None:
    for status, code in ((Status.PASS, 0), (Status.FAIL, 1), (Status.INCONCLUSIVE, 3), (Status.INVALID, 3), (None, 3)):
        assert exit_code([status]) == code
        assert exit_code([Status.PASS, status]) == code
        assert exit_code([Status.FAIL, status]) == 1
    assert exit_code([]) == 3
