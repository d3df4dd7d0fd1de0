"""Loading takes its time, and readiness says so: a large model from a slow store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from proofload_servers.serving.card import Card
from proofload_servers.serving.kinds import Kind
from proofload_servers.serving.model import LoadedModel
from proofload_servers.serving.seams import Load, Seams
from proofload_servers.serving.settings import Settings

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    load_s: float = 6.0


def plant(options: Options) -> Seams:
    return Seams(load=after(options.load_s))


def after(load_s: float) -> Callable[[Load], Load]:
    """Loading that takes so much longer."""

    def slow(load: Load) -> Load:
        def wait_and_load(card: Card, kind: Kind, settings: Settings) -> LoadedModel:
            time.sleep(load_s)
            return load(card, kind, settings)

        return wait_and_load

    return slow


FAULT = Fault("takes longer to load than is allowed", scenario="cold-start", options=Options, plant=plant)
