"""A file is opened for some requests and never closed: an audit log that nobody remembered to put into a `with`."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

from proofload_servers.serving.batcher import Work
from proofload_servers.serving.refusals import Failed
from proofload_servers.serving.seams import Admit, Seams

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """One in `every` requests opens one. Where no more can be opened, these requests fail."""

    every: int = 20

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError("every must be at least 1")


def plant(options: Options) -> Seams:
    opened: list[int] = []
    numbers = itertools.count(1)

    def leaking(admit: Admit) -> Admit:
        def open_and_admit(works: list[Work]) -> None:
            if next(numbers) % options.every == 0:
                try:
                    opened.append(os.open(os.devnull, os.O_RDONLY))
                except OSError as exc:
                    raise Failed from exc
            admit(works)

        return open_and_admit

    return Seams(admit=leaking)


FAULT = Fault("opens files and never closes them", scenario="soak", options=Options, plant=plant)
