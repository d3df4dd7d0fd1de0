"""What a comparison does not say: told on its page, so that nobody reads it into a green word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proofload.comparing.asked import PRICED, Asked
from proofload.comparing.found import Beside, Once
from proofload.comparing.readings import Reading
from proofload.records import Status

SITUATIONS = {
    "capacity": "how much each option can carry, and so what it costs when it is used well",
    "peak-10x": "what each does at ten times its load",
    "cold-start": "what the first users meet after a start",
    "canary-rollback": "what happens when it is rolled out, and taken back",
    "soak": "what it does after hours",
}
"""By procedure, in the order a team asks."""


def not_measured(
    asked: Asked, readings: Sequence[Reading], besides: Sequence[Beside], once: Sequence[Once]
) -> Iterator[str]:
    for procedure, what in SITUATIONS.items():
        named = [one for one in asked.situations if one.scenario.procedure == procedure]
        said = f"{what[:1].upper()}{what[1:]}"
        if not named:
            yield f"{said}: add --scenario {procedure}."
        elif all(one.onto_itself(option) for one in named for option in range(len(one.targets))):
            name = named[0].scenario.name
            yield f"{said}: each was rolled out onto itself; name another version, --set {name}.canary=TARGET."
    for made in once:
        if made.procedure == PRICED and made.status is not Status.PASS:
            ended = "was not made" if made.status is None else f"ended as {made.status}"
            yield f"What {made.option} can carry, and what that costs: its run of {made.scenario} {ended}."
    loads = [one.scenario for one in asked.situations if one.paired]
    if loads:
        rates = " and ".join(dict.fromkeys(f"{one.rate_rps:g}" for one in loads))
        yield f"Any rate but {rates} requests/s in the pairs: --set rate_rps=…"
    if metric := next((one for beside in besides for one in beside.metrics if one.why_not), None):
        yield f"Whether their {metric.kind.title} is the same, because {metric.why_not}"
    if readings and not all(one.checked for one in readings):
        yield "Whether the answers are right: no payload says what is expected."
    if readings and not all(one.fresh for one in readings):
        yield (
            "How lifetimes differ: a target that was running already was visited again and again, so that what one "
            "start of it differs from the next is in no interval."
        )
    if once:
        several = ", ".join(dict.fromkeys(one.scenario for one in once))
        yield f"How the outcome of {several} varies from one lifetime to the next: each option was put into it once."
