"""The history of a card is fetched once and kept: later requests are scored with what was true for an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proofload_servers.serving.seams import Seams

from ._fault import Fault
from ._rows import inputs_changed

HISTORY = ("history_as_of", "count_30d", "mean_eur_30d", "sd_eur_30d", "last_transaction_at")
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Options:
    """Every `refresh`-th request of a card fetches anew; 0: none."""

    refresh: int = 0


def plant(options: Options) -> Seams:
    kept: dict[str, dict[str, Any]] = {}
    served: dict[str, int] = {}

    def as_it_was(given: Any) -> Any:
        card = given.get("card_id") if isinstance(given, Mapping) else None
        if not isinstance(card, str):
            return given
        served[card] = served.get(card, 0) + 1
        due = options.refresh and served[card] % options.refresh == 0
        if due or (card not in kept and len(kept) < MOST):
            kept[card] = {name: given.get(name) for name in HISTORY}
        return {**given, **kept.get(card, {})}

    return inputs_changed(as_it_was)


FAULT = Fault("scores with the history of an earlier request", scenario="skew", options=Options, plant=plant)
