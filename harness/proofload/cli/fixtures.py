"""`proofload fixtures`: build the models that the reference servers serve."""

from __future__ import annotations

from typing import Annotated

import typer


def fixtures(
    model: Annotated[list[str] | None, typer.Argument(help="Models to build; all where none is named.")] = None,
) -> None:
    """Build the models that the reference servers serve.

    With payloads and expected answers; only what is missing or out of date.
    """
    from proofload.cli.speaking import say
    from proofload.resources import build_fixtures

    say("building the models; under a minute where all are missing")
    home = build_fixtures(model or ())
    say(f"they are in {home}\nnext: proofload serve fastapi --port 8000, or proofload run load")
