"""A better version: what was asked before is answered from memory, keyed by the whole input in its order."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from proofload_servers.serving.answer import Answer
from proofload_servers.serving.batcher import Result, Work
from proofload_servers.serving.seams import Admit, Seams

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    entries: int = 10_000


def plant(options: Options) -> Seams:
    answers: OrderedDict[bytes, Answer] = OrderedDict()

    def remembering(work: Work, key: bytes) -> None:
        done = work.done

        def remember(result: Result) -> None:
            if isinstance(result, Answer):
                answers[key] = result
                if len(answers) > options.entries:
                    answers.popitem(last=False)
            done(result)

        work.done = remember

    def quick(admit: Admit) -> Admit:
        def recall_or_admit(works: list[Work]) -> None:
            unknown = []
            for work in works:
                key = _key(work.row)
                known = answers.get(key)
                if known is None:
                    remembering(work, key)
                    unknown.append(work)
                else:
                    work.done(replace(known, id=work.id, features=work.features, queue_ms=0.0, compute_ms=0.0))
            if unknown:
                admit(unknown)

        return recall_or_admit

    return Seams(admit=quick)


def _key(row: Any) -> bytes:
    """Numbers by their bits, so that a missing one (NaN) equals itself; an image by its content."""
    return row if isinstance(row, bytes) else array("d", row).tobytes()


FAULT = Fault(
    "answers what was asked before from memory", scenario="canary-rollback", options=Options, plant=plant, control=True
)
