"""Nothing is refused: whoever comes may wait, however long that takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from proofload_servers.serving.seams import Seams
from proofload_servers.serving.settings import Settings

from ._fault import Fault

ENDLESS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """None: a bound is there or is not."""


def plant(_options: Options) -> Seams:
    def unbounded(settings: Settings) -> Settings:
        return replace(settings, max_queue=ENDLESS, max_wait_ms=0.0)

    return Seams(settings=unbounded)


FAULT = Fault(
    "queues whatever comes, without a bound on number or time; drops what expired",
    scenario="peak-10x",
    options=Options,
    plant=plant,
    servers=("fastapi", "flask", "grpc"),
)
