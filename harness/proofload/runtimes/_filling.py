"""The values of a target's placeholders, ports and broker excepted."""

from __future__ import annotations

import os
from collections.abc import Mapping

from proofload.errors import InputError
from proofload.runtimes import Placement
from proofload.target_model import Target


def known_values(target: Target, placement: Placement) -> dict[str, str]:
    """What is known before anything is started. {model} and {python} the target knows itself."""
    values = {"device": placement.device}
    if target.uses("fixtures"):
        values["fixtures"] = str(_fixtures())
    return values


def environment(target: Target, placement: Placement) -> dict[str, str]:
    """The environment of a started process: ours, the file's (`env:NAME` looked up), then the lab's."""
    own: Mapping[str, str] = target.start.env if target.start is not None else {}
    return {**os.environ, **_looked_up(target, "start", own), **placement.env}


def container_environment(target: Target, placement: Placement) -> dict[str, str]:
    """What a container gets besides its image's: the file's (`env:NAME` looked up), then the lab's; none of ours."""
    own: Mapping[str, str] = target.container.env if target.container is not None else {}
    return {**_looked_up(target, "container", own), **placement.env}


def refuse_unfilled(target: Target, why: str) -> None:
    """Raises InputError when placeholders are left that nobody gives a value."""
    left = target.placeholders()
    if not left:
        return
    remedy = {
        "broker": "give its address: `--set target.broker=HOST:PORT`",
        "model": 'name it: `model = "fraud"` in the target file, or `--set target.model=fraud`',
    }.get(left[0], "write the actual value into the target file")
    raise InputError(f"target {target.name}: {{{left[0]}}} has no value", cause=why, remedy=remedy)


def _looked_up(target: Target, table: str, env: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in env.items():
        variable = value.removeprefix("env:")
        if variable != value and variable not in os.environ:
            raise InputError(
                f"target {target.name}: the environment variable {variable} is not set",
                evidence=f"{table}.env.{name} = {value!r}",
                remedy=f"export {variable}=… before the run",
            )
        found[name] = value if variable == value else os.environ[variable]
    return found


def _fixtures() -> str:
    from proofload.resources import fixtures_dir

    return str(fixtures_dir())
