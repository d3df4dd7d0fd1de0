"""What peak-10x asks of a target, phase by phase, and what the phases are called.

trickle      lone requests, to see what one takes without company
burst N      short and steep, to see about how much it can serve; rest N between, until it is calm again
0.5× … 5×    the ramp, in multiples of the base load; the last step is the plateau
10×          the hold
back at 1×   the return
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, model_validator

from proofload.engine.client import Stretch
from proofload.report.numbers import short
from proofload.scenarios import Positive, Scenario, Seconds, Share

TRICKLE = "trickle"
BURST = "burst"
REST = "rest"
BACK = "back at 1×"
MOST_RPS = 20_000.0
NO_CAPACITY = "peak-no-capacity"
"""The event that says that nothing it was asked in the beginning went well, so that there was no ramp."""


class Settings(Scenario):
    """The keys of peak-10x. Rates in requests per second, times in seconds."""

    base_share: Share = 0.2
    """The base load as a share of what it can serve, where `base_rate_rps` does not say: ten times is then twice."""
    max_rps: Positive | None = None
    """The peak asks for no more than this; None: than MOST_RPS, where the base load is estimated."""
    trickle_rps: Positive = 8.0
    trickle_s: Seconds = 10.0
    burst_s: Seconds = 2.0
    """Not much longer than `timeout_s`: what has waited in vain says nothing of what it can serve."""
    multiples: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
    peak_multiple: Positive = 10.0
    base_s: Seconds = 60.0
    """Length of each step up to 1×."""
    step_s: Seconds = 30.0
    plateau_s: Seconds = 60.0
    """Length of the last step before the hold, which the hold is compared with."""
    hold_s: Seconds = 120.0
    back_s: Seconds = 120.0
    recover_within_s: Positive = 30.0
    settled_s: Positive = 5.0
    """So long on end must all go well for it to be itself again."""
    goodput_ratio: Share = 0.9
    """The least part of its goodput that it may keep at the peak."""
    refused_share: Share = 0.9
    """The least part of the excess that must be refused in time."""
    refusal_ms: Positive | None = None
    """A refusal that takes longer is none; None: the deadline."""
    light_load_ms: Positive = 5.0
    """Lone requests may be slower than others by so much (or by a tenth, if that is more)."""
    light_load_chance: Share = 0.6
    liveness_floor_ms: Positive = 10.0
    liveness_part: Share = 0.25
    """A look at the liveness page is slow above this part of a lone request's time, or the floor."""
    liveness_share: Share = 0.3
    """The largest share of slow looks, below saturation, while work is in flight."""
    threads_per_core: Positive = 3.0
    """The most threads per core that may want to run at a time. Healthy servers were seen at 1.1 to 1.8, one over gRPC,
    whose library has threads of its own, at 2.0 to 2.3; with a thread too many for each request, at 15."""

    @model_validator(mode="after")
    def _base_load_is_permitted(self) -> Settings:
        if self.base_rate_rps is not None and self.max_rps is not None:
            peak_rps = self.base_rate_rps * self.peak_multiple
            if peak_rps > self.max_rps:
                raise ValueError(
                    f"base_rate_rps ({self.base_rate_rps:g}) × peak_multiple ({self.peak_multiple:g}) at most max_rps "
                    f"({self.max_rps:g}): set max_rps to {math.ceil(peak_rps)} or more, or a lower base_rate_rps"
                )
        return self

    @property
    def most_rps(self) -> float:
        """What a peak of an estimated base load asks for at most."""
        return MOST_RPS if self.max_rps is None else self.max_rps

    @property
    def skip_s(self) -> float:
        """The first part of each step, in which the step before still shows."""
        return max(1.0, self.timeout_s)

    @property
    def refusal_limit_ms(self) -> float:
        return self.deadline_s * 1000 if self.refusal_ms is None else self.refusal_ms

    @property
    def peak_name(self) -> str:
        return step_name(self.peak_multiple)


def step_name(multiple: float) -> str:
    return f"{multiple:g}×"


def trickle(settings: Settings) -> Stretch:
    return Stretch(
        TRICKLE,
        min(settings.trickle_rps, settings.base_rate_rps or settings.trickle_rps),
        settings.trickle_s,
        seed=settings.seed,
        measured=False,
    )


def burst(settings: Settings, number: int, rate_rps: float) -> Stretch:
    name = f"{BURST} {number}: {short(rate_rps, 4)}/s"
    return Stretch(name, rate_rps, settings.burst_s, seed=settings.seed + 100 + number, measured=False)


def rest(settings: Settings, number: int) -> Stretch:
    return Stretch(f"{REST} {number}", settings.trickle_rps, 1.0, seed=settings.seed + 200 + number, measured=False)


def overload(settings: Settings, base_rps: float) -> Iterator[Stretch]:
    """The ramp, the hold and the return, without a gap."""
    steps = [(step_name(multiple), multiple, _length_s(settings, multiple)) for multiple in settings.multiples]
    steps.append((settings.peak_name, settings.peak_multiple, settings.hold_s))
    steps.append((BACK, 1.0, settings.back_s))
    for number, (name, multiple, length_s) in enumerate(steps):
        yield Stretch(
            name,
            base_rps * multiple,
            length_s,
            arrival=settings.arrival,
            shape=settings.shape,
            seed=settings.seed + 300 + number,
            measured=multiple <= 1.0,
        )


def _length_s(settings: Settings, multiple: float) -> float:
    if multiple == settings.multiples[-1]:
        return settings.plateau_s
    return settings.base_s if multiple <= 1.0 else settings.step_s
