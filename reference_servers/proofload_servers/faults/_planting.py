"""From the words of the command line to the seams of a service."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from proofload_servers.serving.refusals import StartupError
from proofload_servers.serving.seams import Seams, combined

from ._fault import Fault, read_options
from ._found import fault_named

ALLOW = "PROOFLOAD_ALLOW_FAULTS"


def planted(specs: Iterable[str]) -> Seams:
    """The seams of a service with these faults. Raises StartupError."""
    return combined([fault.plant(options) for fault, options in _understood(specs)])


def check(specs: Iterable[str], *, server: str) -> None:
    """Everything that can be refused without planting anything. Raises StartupError.

    `server` is the program's name or the target's: "fastapi_app" or "fastapi".
    """
    for spec in specs:
        ((fault, _),) = _understood([spec])
        short = server.partition("_")[0]
        if short not in fault.servers:
            name = spec.partition(":")[0]
            raise StartupError(f"fault {name} is not for {short}; servers that can have it: {', '.join(fault.servers)}")


def _understood(specs: Iterable[str]) -> list[tuple[Fault, Any]]:
    """NAME[:key=value,...] each."""
    if os.environ.get(ALLOW) != "1":
        raise StartupError(
            f"--fault plants a defect on purpose and is refused unless the environment says {ALLOW}=1; "
            "set it if this server is meant for trying the lab, leave --fault out if it is meant to serve"
        )
    return [_one(spec) for spec in specs]


def _one(spec: str) -> tuple[Fault, Any]:
    name, _, rest = spec.partition(":")
    fault = fault_named(name)
    given: dict[str, str] = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise StartupError(f"fault {name}: {pair!r} is not key=value")
        given[key] = value
    return fault, read_options(name, fault, given)
