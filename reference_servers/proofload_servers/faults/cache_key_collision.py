"""The cache's key is made of the features' values in sorted order: who is who is lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from proofload_servers.serving.cache.keys import KeyOf
from proofload_servers.serving.seams import Seams
from proofload_servers.serving.settings import Settings

from ._fault import Fault


@dataclass(frozen=True, slots=True)
class Options:
    """How many predictions the cache holds where none was asked for; it is the real one, in memory."""

    entries: int = 50_000

    def __post_init__(self) -> None:
        if self.entries < 1:
            raise ValueError("entries must be at least 1")


def plant(options: Options) -> Seams:
    def with_cache(settings: Settings) -> Settings:
        if settings.cache != "none":
            return settings
        return replace(settings, cache="memory", cache_entries=options.entries)

    def colliding(key_of: KeyOf) -> KeyOf:
        return lambda row: key_of(_sorted(row))

    return Seams(settings=with_cache, cache_key=colliding)


def _sorted(row: Any) -> Any:
    """Missing values first; an image, which has no named values, stays what it is."""
    return sorted(row, key=lambda value: -math.inf if math.isnan(value) else value) if isinstance(row, list) else row


FAULT = Fault("caches predictions under sorted feature values", scenario="skew", options=Options, plant=plant)
