"""The command as it was typed, for the record: what reproduces a run, without its secrets."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from proofload.target_model import HIDDEN, hidden_if_secret, without_secrets


def as_typed(arguments: Sequence[str]) -> str:
    """`proofload run …` with values that sound secret hidden. The program's own path is left out."""
    return shlex.join(["proofload", *(_harmless(word) for word in arguments)])


def _harmless(word: str) -> str:
    flag, equals, setting = word.partition("=") if word.startswith("--") else ("", "", word)
    if "://" in setting.partition("=")[0]:
        return f"{flag}{equals}{without_secrets(setting)}"
    key, assigned, value = setting.partition("=")
    if not assigned:
        return word
    table, _, name = key.rpartition(".")
    if table.endswith((".headers", ".env")):
        value = hidden_if_secret(name, value.strip("\"'"))
    elif key.endswith((".headers", ".env")) and "env:" not in value:
        value = HIDDEN
    elif "://" in value:
        value = without_secrets(value)
    return f"{flag}{equals}{key}={value}"
