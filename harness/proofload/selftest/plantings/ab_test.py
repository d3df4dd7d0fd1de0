"""The real cases of ab-test: worse in what is answered, or whether. A better version and the same one pass."""

from __future__ import annotations

from collections.abc import Sequence

from proofload.selftest import Case
from proofload.selftest.plantings._second_versions import second_versions

NAMED = {"errors": "canary-errors", "wrong-predictions": "wrong-predictions"}


def create() -> Sequence[Case]:
    return second_versions("ab-test", NAMED)
