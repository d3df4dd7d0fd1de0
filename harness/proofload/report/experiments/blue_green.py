"""Who had the traffic, how long answers took and what failed, on one time axis; what each switch cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proofload.records import Result
from proofload.report import numbers
from proofload.report.document import Block, Column, Note, Picture, table
from proofload.report.pictures.versions import switches_picture

if TYPE_CHECKING:
    from proofload.report.sections.page import Page
    from proofload.report.view import Recorded, RunView


def create() -> BlueGreenExperiment:
    return BlueGreenExperiment()


class BlueGreenExperiment:
    title = "The switches"

    def reduce(self, record: Recorded, result: Result) -> None:
        """Its details say all."""

    def blocks(self, page: Page, run: RunView, place: int) -> tuple[Block, ...]:
        del page  # the colours are those of two versions, not of targets
        found = run.result.details
        seconds, moves = found.get("seconds"), found.get("moves", ())
        if not seconds or not seconds["t_s"]:
            return (Note(f"{run.label}: no load ran, so there is nothing to draw."),)
        key = f"switches{place}"
        told = "; ".join(f"to {move['to']} at {move['at_s']:.1f} s" for move in moves) or "nothing was switched"
        blocks: list[Block] = [
            Picture(
                key=key,
                draw=lambda: switches_picture(key, seconds, moves),
                alt=f"{run.label}: requests to blue and to green over time, latency, failures. {told}.",
                caption=f"{run.label}: by second of due time. Dashed: all traffic is switched.",
                sketch=told,
            )
        ]
        if moves:
            rows = [
                (
                    f"to {move['to']}",
                    numbers.significant(move["at_s"]),
                    numbers.significant(1000 * move["settled_s"]),
                    numbers.count(move["in_flight"]), numbers.count(move["lost"]), move["why"],
                )
                for move in moves
            ]  # fmt: skip
            columns = ("switch", Column("at (s)", "number"), Column("took (ms)", "number"),
                       Column("under way", "number"), Column("lost", "number"), "why")  # fmt: skip
            blocks.append(table("What each switch cost", columns, rows))
        for end in found.get("ends", ()):
            name = "green" if end["arm"] else "blue"
            blocks.append(
                Note(f"Requests under way when {name} was told to end: {end['under_way']:,}; "
                     f"{end['lost']:,} were lost.")
            )  # fmt: skip
        if found.get("taken_back"):
            users = "" if found.get("users") is None else f" of {numbers.count(found['users'])} users"
            blocks.append(
                Note(f"Taken back by {found['taken_back']}, {numbers.seconds(found['detect_s'])} after the switch; "
                     f"{numbers.count(found['touched'])} requests{users} had gone to green.")
            )  # fmt: skip
        return tuple(blocks)
