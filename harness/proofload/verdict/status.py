"""From validity and checks to one status, and from that to an exit code."""

from __future__ import annotations

from collections.abc import Iterable

from proofload.errors import EXIT_FAIL, EXIT_NO_VERDICT, EXIT_PASS
from proofload.records import Check, Status, Validity


def overall(validity: Iterable[Validity], checks: Iterable[Check]) -> Status:
    """Invalid before all else; then any fail; a pass needs a check, and every check to pass.

    No check at all is inconclusive: nothing was asked, so nothing was shown.
    """
    if not all(item.ok for item in validity):
        return Status.INVALID
    seen = {check.status for check in checks}
    if Status.INVALID in seen:
        return Status.INVALID
    if Status.FAIL in seen:
        return Status.FAIL
    return Status.PASS if seen == {Status.PASS} else Status.INCONCLUSIVE


def exit_code(runs: Iterable[Status | None]) -> int:
    """One that fails makes it 1; 0 needs every one to pass. Anything else is 3: inconclusive, invalid, without a
    verdict (None), or no run at all."""
    seen = set(runs)
    if Status.FAIL in seen:
        return EXIT_FAIL
    return EXIT_PASS if seen == {Status.PASS} else EXIT_NO_VERDICT
