"""Defects planted on purpose, so that the lab can be tried on servers whose faults are known.

    PROOFLOAD_ALLOW_FAULTS=1 python -m proofload_servers.fastapi_app --model fraud --fault leak-memory:bytes=50000
    python -m proofload_servers.faults          # all of them, with what they do and what can be set

One file is one fault; its name, with hyphens, is the fault's name, and it is found without being listed anywhere:

    @dataclass(frozen=True, slots=True)
    class Options:                      # key=value pairs of the command line, with the default strength
        share: float = 0.05

    def plant(options: Options) -> Seams:
        def broken(compute: Compute) -> Compute: ...
        return Seams(compute=broken)

    FAULT = Fault("what it does", scenario="canary-rollback", options=Options, plant=plant)

`plant` runs once in each process that serves, while its service is made; what it starts lives as long as the process.
Where a fault can take hold is the list in `serving.seams`: settings, card, kind, ready, load, compute, finish, batcher,
admit, begin_drain, stream_worker. Options are int, float, str or Literal; numbers are never negative, a `share` is at
most 1, and whatever else is wrong with them `__post_init__` says with ValueError. A fault draws its chances from
`chances(seed, name)`, so that two runs of one process see the same sequence and no two requests the same draw.

Nothing tells a caller that a fault is there: no header, no metric, no log line.
"""

from ._fault import Fault, chances, names_of_options
from ._found import all_faults, fault_named
from ._listing import listing
from ._planting import check, planted

__all__ = ["Fault", "all_faults", "chances", "check", "fault_named", "listing", "names_of_options", "planted"]
