"""Deadlines are not looked at: answers are computed long after everybody who asked has left."""

from __future__ import annotations

from dataclasses import dataclass, replace

from proofload_servers.serving.batcher import Batcher, Work
from proofload_servers.serving.seams import Seams
from proofload_servers.serving.settings import Settings

from ._fault import Fault

ENDLESS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """Refuses only what would wait longer than `wait_s`, which is longer than callers do."""

    wait_s: float = 10.0


def plant(options: Options) -> Seams:
    def patient(settings: Settings) -> Settings:
        return replace(settings, max_queue=ENDLESS, max_wait_ms=options.wait_s * 1e3)

    def undead(batcher: type[Batcher]) -> type[Batcher]:
        class Undead(batcher):  # type: ignore[valid-type,misc]  # a class that is given
            def _wanted(self, _work: Work) -> bool:
                return True

        return Undead

    return Seams(settings=patient, batcher=undead)


FAULT = Fault(
    "computes what expired while it waited in a long queue", scenario="peak-10x", options=Options, plant=plant
)
