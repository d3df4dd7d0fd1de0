"""The session has many more threads than there are cores, and those without work spin: the defaults of a large host."""

from __future__ import annotations

from dataclasses import dataclass, replace

from proofload_servers.serving.seams import Seams
from proofload_servers.serving.settings import Settings

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """Intra-op threads of the session."""

    threads: int = 16

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError("threads must be at least 1")


def plant(options: Options) -> Seams:
    def crowded(settings: Settings) -> Settings:
        return replace(settings, threads=options.threads, spinning=True)

    return Seams(settings=crowded)


FAULT = Fault(
    "computes with many more threads than cores, all of them spinning",
    scenario="peak-10x",
    options=Options,
    plant=plant,
)
