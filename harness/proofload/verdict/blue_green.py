"""May green keep the traffic? Looked at every second while it has it, and once more at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proofload.analysis.arm_difference import as_shares
from proofload.analysis.before_after import GUARDS, Guarded
from proofload.analysis.confidence_sequence import bounds
from proofload.records import Status
from proofload.verdict.experiment import Ruling, rule, ruled

FEWEST_BLOCKS = 3
"""Blocks after the switch before anything is said: one alone shows nothing of what is usual."""


@dataclass(frozen=True, slots=True)
class Harm:
    """The guard that saw harm first, after how many blocks, and its ruling."""

    guard: str
    blocks: int
    ruling: Ruling


def harm_at(guarded: Mapping[str, Guarded], blocks: int, *, alpha_fail: float) -> Harm | None:
    """What is seen after so many blocks, by bounds that hold for all looks together; the gravest first.

    Half of `alpha_fail` is for the looks, half for the end; the guards share it (Bonferroni).
    """
    if blocks < FEWEST_BLOCKS:
        return None
    each = alpha_fail / 2 / len(GUARDS)
    for name in GUARDS:
        one = guarded[name]
        found = one.difference(blocks)
        if found.effect <= one.margin:  # no bound below it could be above the margin
            continue
        rate = each / len(one.taus)
        low, high = max(bounds(found, tau, rate, rate) for tau in one.taus)
        ruling = rule(found.effect, low, high, margin=one.margin, direction="lower")
        if ruling.status is Status.FAIL:
            return Harm(name, blocks, ruling)
    return None


def first_harm(guarded: Mapping[str, Guarded], *, alpha_fail: float) -> Harm | None:
    """The first look that sees harm."""
    total = max(len(one.after.n) for one in guarded.values())
    looks = (harm_at(guarded, blocks, alpha_fail=alpha_fail) for blocks in range(FEWEST_BLOCKS, total + 1))
    return next((harm for harm in looks if harm is not None), None)


def at_the_end(guarded: Mapping[str, Guarded], *, alpha_fail: float, alpha_pass: float) -> Mapping[str, Ruling]:
    """One more look when green's planned time is over, with the other half of `alpha_fail`."""
    each = alpha_fail / 2 / len(GUARDS)
    found = {}
    for name, one in guarded.items():
        difference = one.difference()
        wary = as_shares(difference, one.margin) if one.rare else difference
        strict, usual = difference.bounds(each, each), wary.bounds(alpha_pass, alpha_pass)
        found[name] = ruled(difference.effect, strict, usual, margin=one.margin, direction="lower")
    return found


def passed(harm: Harm | None, rulings: Mapping[str, Ruling]) -> Status:
    """One status for all guards."""
    seen = {ruling.status for ruling in rulings.values()}
    if harm is not None or Status.FAIL in seen:
        return Status.FAIL
    return Status.PASS if seen == {Status.PASS} else Status.INCONCLUSIVE
