"""The `{placeholders}` that strings of a target file may hold, and `env:NAME`, for which a secret stands.

{port} and {port:NAME}   free ports, chosen when the target is started
{python}                 the interpreter that runs proofload
{device}                 cpu, cuda or tensorrt, from --device
{model}, {fixtures}      the target's model, and the folder of built models
{broker}                 host:port of the Kafka broker
{timeout_ms}             the scenario's timeout_s, for servers that drop what nobody waits for any more
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping

from proofload.errors import InputError

KNOWN = ("port", "python", "device", "model", "fixtures", "broker", "timeout_ms")

_PLACEHOLDER = re.compile(r"(?<!\$)\{([A-Za-z_]+)(:[A-Za-z0-9_-]+)?\}")
"""Not `${HOME}`, which is a shell's; JSON in a command has quotes after its brace and does not match either."""


def replaced(text: str, values: Mapping[str, str]) -> str:
    """`text` with every placeholder that `values` names ("port", "port:metrics") replaced; others stay."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[0][1:-1], match[0]), text)


def names_in(text: str) -> Iterator[str]:
    """The known placeholders in `text`: "port", "port:metrics"."""
    for match in _PLACEHOLDER.finditer(text):
        if match[1] in KNOWN:
            yield match[0][1:-1]


def looked_up(value: str, *, owner: str, key: str) -> str:
    """`value`; where it is env:NAME, what that variable of this process's environment holds. Raises InputError."""
    if not value.startswith("env:"):
        return value
    variable = value.removeprefix("env:")
    if variable not in os.environ:
        raise InputError(
            f"{owner}: the environment variable {variable} is not set",
            evidence=f"{key} = {value!r}",
            remedy=f"export {variable}=… before the run",
        )
    return os.environ[variable]


def misspelt_placeholder(text: str) -> str | None:
    """The first thing in braces that is nearly a placeholder, with the one it resembles, for a message."""
    for match in _PLACEHOLDER.finditer(text):
        if match[1] not in KNOWN:
            near = difflib.get_close_matches(match[1], KNOWN, n=1, cutoff=0.75)
            if near:
                return f"{match[0]} (did you mean {{{near[0]}}}?)"
    return None
