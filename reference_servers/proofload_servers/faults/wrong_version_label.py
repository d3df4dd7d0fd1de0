"""Answers are stamped with a version that is not the one deployed: the label of an earlier build."""

from __future__ import annotations

from dataclasses import dataclass, replace

from proofload_servers.serving.card import Card
from proofload_servers.serving.seams import Seams

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    label: str = "0.9.0"


def plant(options: Options) -> Seams:
    def mislabelled(card: Card) -> Card:
        return replace(card, version=options.label)

    return Seams(card=mislabelled)


FAULT = Fault("tells another version than its model's", scenario="canary-rollback", options=Options, plant=plant)
