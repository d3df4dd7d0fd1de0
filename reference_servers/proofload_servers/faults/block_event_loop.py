"""Inference, and a lookup before it, run on the event loop: meanwhile nothing else is read, answered or timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from proofload_servers.serving.batcher import Batcher, Work
from proofload_servers.serving.refusals import NotReady
from proofload_servers.serving.seams import Seams

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """`ms` is what the lookup takes; the inference takes what it takes."""

    ms: float = 30.0


def plant(options: Options) -> Seams:
    def inline(batcher: type[Batcher]) -> type[Batcher]:
        class Inline(batcher):  # type: ignore[valid-type,misc]  # a class that is given
            def put(self, works: Sequence[Work]) -> None:
                with self._admission:
                    if self._closed:
                        raise NotReady("the server is shutting down")
                    self._pending += len(works)
                for work in works:
                    work.enqueued_ns = work.enqueued_ns or time.monotonic_ns()
                    time.sleep(options.ms / 1e3)
                    self._serve([work])

        return Inline

    return Seams(batcher=inline)


FAULT = Fault(
    "looks up and computes on the event loop, one request at a time",
    scenario="peak-10x",
    options=Options,
    plant=plant,
    servers=("fastapi", "grpc"),
)
