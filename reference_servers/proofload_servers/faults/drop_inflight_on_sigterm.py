"""SIGTERM ends the process on the spot: what was asked and not yet answered is lost with its connections."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from proofload_servers.serving.seams import Seams

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """None."""


def plant(_options: Options) -> Seams:
    def abrupt(_begin_drain: Callable[[], None]) -> Callable[[], None]:
        def end() -> None:
            os._exit(0)

        return end

    return Seams(begin_drain=abrupt)


FAULT = Fault("ends at once when told to stop", scenario="canary-rollback", options=Options, plant=plant)
