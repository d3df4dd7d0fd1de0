"""What a run tells of its machine."""

from __future__ import annotations

from proofload.environment import environment
from proofload.testing.synthetic_run import SYNTHETIC_ENVIRONMENT


def test_made_up_runs_tell_of_their_machine_as_real_ones_do() -> None:
    real = environment()
    assert {key: type(value) for key, value in SYNTHETIC_ENVIRONMENT.items()} == {
        key: type(value) for key, value in real.items()
    }
