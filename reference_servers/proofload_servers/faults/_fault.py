"""What a fault is, and how its options are read."""

from __future__ import annotations

import dataclasses
import difflib
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from proofload_servers.serving.refusals import StartupError
from proofload_servers.serving.seams import Seams

SERVERS = ("fastapi", "flask", "grpc", "kafka")


@dataclass(frozen=True, slots=True)
class Fault:
    """One defect, or one harmless peculiarity that looks like a defect (`control`)."""

    summary: str
    """What the server does wrong, in one line."""
    scenario: str
    """The scenario that is to find it, or to leave it alone."""
    options: type[Any]
    """A dataclass whose defaults are the default strength."""
    plant: Callable[[Any], Seams]
    servers: tuple[str, ...] = SERVERS
    control: bool = False


def chances(seed: int, name: str) -> random.Random:
    """A sequence of its own for each fault, the same in every process that was given the seed."""
    return random.Random(f"{name}:{seed}")  # noqa: S311  repeatable is what is wanted


def names_of_options(fault: Fault) -> Mapping[str, Any]:
    """Each option and its default."""
    return {field.name: field.default for field in dataclasses.fields(fault.options)}


def read_options(name: str, fault: Fault, given: Mapping[str, str]) -> Any:
    """The fault's options with the defaults replaced. Raises StartupError that names the nearest key."""
    hints = get_type_hints(fault.options)
    values: dict[str, Any] = {}
    for key, text in given.items():
        if key not in hints:
            raise StartupError(f"fault {name} has no option {key!r}; {nearest(key, hints)}")
        try:
            values[key] = _value(hints[key], text)
            if key == "share" and values[key] > 1.0:
                raise ValueError(f"{text} is more than 1")
        except ValueError as exc:
            raise StartupError(f"fault {name}: {key}: {exc}") from exc
    try:
        return fault.options(**values)
    except ValueError as exc:
        raise StartupError(f"fault {name}: {exc}") from exc


def _value(hint: Any, text: str) -> Any:
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise ValueError(f"{text!r}: choose from {', '.join(get_args(hint))}")
        return text
    if hint is str:
        return text
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not math.isfinite(number) or number < 0.0:
        raise ValueError(f"{text} must be a number that is not negative")
    if hint is int:
        if number != int(number):
            raise ValueError(f"{text} is not a whole number")
        return int(number)
    return number


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word."""
    among: Sequence[str] = sorted(known)
    near = difflib.get_close_matches(word, among, n=1)
    listed = ", ".join(among) if among else "none"
    return f"did you mean {near[0]!r}? (known: {listed})" if near else f"known: {listed}"
