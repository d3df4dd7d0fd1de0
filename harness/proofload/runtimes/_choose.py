"""The runtime of a target when the command line names none."""

from __future__ import annotations

from proofload.target_model import Target


def default_runtime(target: Target) -> str:
    """A target that says how to start its process is started; one that does not must be running already."""
    return "process" if target.start is not None else "external"
