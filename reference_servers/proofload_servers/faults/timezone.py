"""Local hours are computed from the instant in UTC, or in any one zone, where training used the clock on the wall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from proofload_servers.serving.seams import Seams

from ._fault import Fault
from ._rows import inputs_changed


@dataclass(frozen=True, slots=True)
class Options:
    """`hours_east` of UTC is the zone that all clocks are taken to show."""

    hours_east: float = 0.0


def plant(options: Options) -> Seams:
    zone = timezone(timedelta(hours=options.hours_east))

    def moved(given: Any) -> Any:
        stamp = given.get("timestamp") if isinstance(given, Mapping) else None
        try:
            when = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
        except ValueError:
            return given
        if when is None or when.utcoffset() is None:
            return given
        return {**given, "timestamp": when.astimezone(zone).isoformat()}

    return inputs_changed(moved)


FAULT = Fault("computes local hours in one zone for all", scenario="skew", options=Options, plant=plant)
