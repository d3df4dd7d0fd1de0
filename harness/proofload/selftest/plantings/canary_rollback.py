"""Second versions with a defect, and those that are sound: as good, better, or stalling as the first one does."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.selftest import Case

VERSION = "1.0.0"
"""What the fixture's models are stamped with, and so what a sound second version bears, too."""
_KNOWN = {"canary_version": VERSION}
"""Said of every second version, sound ones too: what only defective ones had would give them away."""
_UNSTABLE = {**_KNOWN, "driver.name": "client", "driver.unstable": True}


def create() -> Sequence[Case]:
    return (
        *(_planted(fault, *causes) for fault, causes in _CAUSES.items()),
        Case("canary-rollback", "fastapi", expect=("unstable-assignment",), settings=_UNSTABLE,
             note="the driver's weights swing: users near the edge change sides"),
        Case("canary-rollback", "fastapi", settings=_KNOWN, note="the same version twice"),
        Case("canary-rollback", "fastapi", fault="faster", settings=_KNOWN, note="a better canary"),
        Case("canary-rollback", "fastapi", fault="stalls", settings=_KNOWN, everywhere=True,
             note="both stall now and then"),
    )  # fmt: skip


_CAUSES = {
    "errors": ("canary-errors",),
    "slow-tail": ("canary-slow-tail",),
    "wrong-predictions": ("wrong-predictions",),
    "wrong-version-label": ("wrong-version",),
    "drop-inflight-on-sigterm": ("dropped-in-flight",),
}


def _planted(fault: str, *causes: str) -> Case:
    return Case("canary-rollback", "fastapi", fault=fault, expect=causes, settings=_KNOWN)
