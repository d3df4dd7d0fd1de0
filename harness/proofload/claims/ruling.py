"""Whether what was measured bears out what was predicted."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from proofload.claims import STAND_IN, Measured, Prediction


class Ruling(StrEnum):
    """What is to be said of a claim here, on this machine."""

    CONFIRMED = "confirmed"
    LESS = "not confirmed: less than is said"
    MORE = "not confirmed: more than is said"
    INCONCLUSIVE = "inconclusive"
    UNTRIED = "not tried"


def ruling(prediction: Prediction, measured: Measured) -> Ruling:
    """Confirmed where the whole interval lies within the prediction, not confirmed where none of it does.

    A doubt leaves it open, and so does an interval with an unknown end on the side that counts.
    """
    if measured.doubts or measured.value is None:
        return Ruling.INCONCLUSIVE
    low, high = measured.interval.low, measured.interval.high
    if prediction.low is not None and high is not None and high < prediction.low:
        return Ruling.LESS
    if prediction.high is not None and low is not None and low > prediction.high:
        return Ruling.MORE
    above = prediction.low is None or (low is not None and low >= prediction.low)
    below = prediction.high is None or (high is not None and high <= prediction.high)
    return Ruling.CONFIRMED if above and below else Ruling.INCONCLUSIVE


def of_stand_in(prediction: Prediction, measured: Measured, *, but: Ruling | None = None) -> Measured:
    """What was measured of something that stood in for the real thing, and is therefore in doubt.

    `but`: the one ruling that counts all the same, because the real thing could only bear it out the more.
    """
    if but is not None and ruling(prediction, measured) is but:
        return measured
    return replace(measured, doubts=(*measured.doubts, STAND_IN))
