"""Ready as soon as the port is open, while the model still loads: requests that come meanwhile are turned away."""

from __future__ import annotations

from dataclasses import dataclass

from proofload_servers.serving.seams import Condition, Seams

from ._fault import Fault
from .slow_load import after


@dataclass(frozen=True, slots=True)
class Options:
    """How much longer loading takes: a model of some size."""

    load_s: float = 2.0


def plant(options: Options) -> Seams:
    def hasty(ready: Condition) -> Condition:
        has_been = False

        def says_ready() -> bool:
            nonlocal has_been
            has_been = has_been or ready()
            return ready() or not has_been

        return says_ready

    return Seams(ready=hasty, load=after(options.load_s))


FAULT = Fault(
    "says ready before the model is loaded",
    scenario="cold-start",
    options=Options,
    plant=plant,
    servers=("fastapi", "flask", "grpc"),
)
