"""Some requests ask a neighbour, a feature store, over a connection of their own that is never closed.

The neighbour lives in the same process and hangs up after each answer, so that what piles up is in CLOSE_WAIT.
"""

from __future__ import annotations

import itertools
import socket
import threading
from dataclasses import dataclass

from proofload_servers.serving.batcher import Work
from proofload_servers.serving.refusals import Failed
from proofload_servers.serving.seams import Admit, Seams

from ._fault import Fault

PATIENCE_S = 1.0
BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Options:
    """One in `every` requests connects. Where no more sockets can be had, these requests fail."""

    every: int = 50

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError("every must be at least 1")


def plant(options: Options) -> Seams:
    neighbour = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    threading.Thread(target=_hang_up_on_all, args=(neighbour,), name="neighbour", daemon=True).start()
    address = neighbour.getsockname()
    connected: list[int] = []
    numbers = itertools.count(1)

    def leaking(admit: Admit) -> Admit:
        def ask_and_admit(works: list[Work]) -> None:
            if next(numbers) % options.every == 0:
                try:
                    connected.append(socket.create_connection(address, PATIENCE_S).detach())
                except OSError as exc:
                    raise Failed from exc
            admit(works)

        return ask_and_admit

    return Seams(admit=leaking)


def _hang_up_on_all(neighbour: socket.socket) -> None:
    while True:
        try:
            neighbour.accept()[0].close()
        except OSError:  # no descriptor left for it: the callers get none either
            threading.Event().wait(PATIENCE_S)


FAULT = Fault("opens connections to a neighbour and never closes them", scenario="soak", options=Options, plant=plant)
