"""`proofload compare`: several options beside each other, in interleaved fresh lifetimes, and one page to decide by."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proofload.cli.beforehand import new_folder, refuse_what_cannot_be
from proofload.cli.json_result import ON_STDOUT, write_json
from proofload.cli.run import Device
from proofload.cli.speaking import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proofload.comparing.asked import Asked
    from proofload.comparing.found import Comparison

_WIDTH_OF_A_LOG = 160


def compare(
    context: typer.Context,
    *,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE|URL", help="An option; the first is what the others are compared with."),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="A situation to put each into; may be repeated. A load is made in pairs of lifetimes, others once.",
        ),
    ] = None,
    payloads: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Requests to send, one JSON object a line.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A key of the scenarios (or SCENARIO.KEY), of all targets (target.KEY), of one (target2.KEY), or of "
            "the comparison (compare.KEY): slo.p99_ms=50, cost.peak_rps=5000, compare.budget_per_month=900.",
        ),
    ] = None,
    pairs: Annotated[int | None, typer.Option(metavar="N", help="Lifetimes of each target under load; 12.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short lifetimes, and the scenarios' short forms.")] = False,
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the targets live: process, container or external.")
    ] = None,
    device: Annotated[Device | None, typer.Option(help="What started targets compute on.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A new folder, or one where this comparison was begun.")
    ] = None,
    json_to: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write what was found; - is standard output, alone.")
    ] = None,
) -> int:
    """Compare options in pairs of fresh server lifetimes, and say which is worse, better, or the same.

    Exit codes: 0 nothing is worse than the first, 1 something is, 3 that cannot be told, 2 bad input. An
    interrupted comparison goes on with the same command and its folder as --out.
    """
    from proofload.cli.command_line import as_typed
    from proofload.comparing.asked import understood
    from proofload.comparing.judging import judged
    from proofload.comparing.running import begin
    from proofload.verdict.comparison import exit_code

    refuse_what_cannot_be(runtime, json_to)
    asked = understood(
        target or (),
        scenario or (),
        settings=settings or (),
        payloads=payloads,
        pairs=pairs,
        quick=quick,
        device=None if device is None else str(device),
        runtime=runtime,
    )
    folder = out or new_folder("compare", *asked.labels[:3])
    command = as_typed(context.obj or sys.argv[1:])
    goes_on = begin(asked, folder, command=command)
    _announce(asked, folder, goes_on=goes_on)
    try:
        _make(asked, folder, command)
    except BaseException:
        say(f"what was made until then is kept; it goes on with the same command and --out {folder}")
        raise
    found = judged(asked, folder)
    _leave(found, folder, json_to)
    return exit_code([found.standing])


def _announce(asked: Asked, folder: Path, *, goes_on: bool) -> None:
    """What is going to happen, before it does."""
    settings, many = asked.settings, len(asked.labels)
    for one in asked.situations:
        name = one.scenario.name
        if one.paired:
            seconds = one.scenario.duration_s + (one.scenario.warmup_s if one.scenario.warmup_s != "auto" else 0.0)
            what = f"{settings.pairs} pairs, {settings.pairs * many} lifetimes with {seconds:g} s of load each"
            say(f"{name}: {what}, {one.scenario.rate_rps:g} requests/s")
        else:
            added = "" if one.asked_for else " (added: what was required cannot be judged without it)"
            say(f"{name}: once for each of {many} targets{added}")
    say(f"{'goes on in' if goes_on else 'kept in'} {folder}")


def _make(asked: Asked, folder: Path, command: str) -> None:
    from rich.console import Console

    from proofload.comparing.running import make
    from proofload.progress import progress_on

    with progress_on(Console(stderr=True, highlight=False)) as progress:
        make(asked, folder, command=command, progress=progress)


def _leave(found: Comparison, folder: Path, json_to: str | None) -> None:
    """The page and the JSON in the folder, the sentences on the screen."""
    from rich.console import Console

    from proofload.comparing.as_json import comparison_text
    from proofload.report.decision.page import decision_document
    from proofload.report.decision.terminal import closing
    from proofload.report.formats import html, md
    from proofload.store.folder import write_whole

    document, text = decision_document(found), comparison_text(found)
    pages: Sequence[tuple[str, str]] = (
        ("comparison.html", html.page(document)),
        ("comparison.md", md.page(document)),
        ("comparison.json", text + "\n"),
    )
    for name, content in pages:
        write_whole(folder / name, content.encode("utf-8", "replace"))
    console = Console(stderr=json_to == ON_STDOUT, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_LOG
    console.print(closing(found))
    console.print(f"\npage: {folder / 'comparison.html'}", soft_wrap=True, markup=False)
    if json_to is not None:
        write_json(json_to, text, kept=f"the comparison is kept: see {folder}")
