"""Loading takes a while, within what is allowed; not ready until it is over, and warm from the first request on."""

from __future__ import annotations

from dataclasses import dataclass

from proofload_servers.serving.seams import Seams

from ._fault import Fault
from .slow_load import after


@dataclass(frozen=True, slots=True)
class Options:
    load_s: float = 1.5


def plant(options: Options) -> Seams:
    return Seams(load=after(options.load_s))


FAULT = Fault(
    "loads slowly, within limits, and says so", scenario="cold-start", options=Options, plant=plant, control=True
)
