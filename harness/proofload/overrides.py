"""`--set KEY=VALUE`: the value is TOML where it can be, text where it cannot."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import Any, TypeVar

from pydantic import BaseModel

from proofload.errors import InputError
from proofload.toml_input import validated

M = TypeVar("M", bound=BaseModel)

TARGET_PREFIX = "target."
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line changes: dotted keys and values, in the order given."""

    scenario: Mapping[str, Any] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)
    """Keys without their leading `target.`."""


def parsed(settings: Sequence[str]) -> Overrides:
    """`["rate_rps=500", "target.response.rtol=1e-3"]` sorted by what they change; the last of a key wins."""
    scenario: dict[str, Any] = {}
    target: dict[str, Any] = {}
    for setting in settings:
        key, value = _pair(setting)
        if key.startswith(TARGET_PREFIX):
            target[key.removeprefix(TARGET_PREFIX)] = value
        else:
            scenario[key] = value
    return Overrides(scenario=scenario, target=target)


def written(changes: Mapping[str, Any]) -> list[str]:
    """Dotted keys and values as `--set` takes them: what `parsed` reads. Raises InputError for what TOML cannot say."""
    return [f"{key}={_toml(value, key)}" for key, value in changes.items()]


def flattened(tables: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of tables within tables, dotted: {"slo": {"p99_ms": 50}} is "slo.p99_ms", 50."""
    for name, value in tables.items():
        key = name if not before else f"{before}.{name if _BARE.fullmatch(name) else json.dumps(name)}"
        if isinstance(value, Mapping) and value:
            yield from flattened(value, key)
        else:
            yield key, value


def applied(tables: Mapping[str, Any], changes: Mapping[str, Any], flag: str = "--set ") -> dict[str, Any]:
    """A copy of `tables` with each dotted key of `changes` set; tables on the way are made as needed.

    Whether a key exists is for the model that validates the outcome to say.
    """
    outcome = _copied(tables)
    for key, value in changes.items():
        *path, last = _words(key, flag)
        table = outcome
        for depth, word in enumerate(path):
            inner = table.setdefault(word, {})
            if not isinstance(inner, dict):
                raise InputError(
                    f"{flag}{key}: `{'.'.join(path[: depth + 1])}` is a value, not a table",
                    evidence=f"it is {inner!r}",
                    remedy=f"use {flag}{'.'.join(path[: depth + 1])}=VALUE",
                )
            table = inner
        table[last] = value
    return outcome


def settled(
    model: type[M], tables: Mapping[str, Any], changes: Mapping[str, Any], *, source: str, flag: str = "--set "
) -> M:
    """`tables` with `changes` as a `model`. An error names the file if it is wrong alone, else the flag."""
    if not changes:
        return validated(model, tables, source)
    option, _, prefix = flag.partition(" ")
    try:
        return validated(model, applied(tables, changes, flag), option, prefix)
    except InputError:
        validated(model, tables, source)
        raise


def _pair(setting: str) -> tuple[str, Any]:
    key, equals, text = setting.partition("=")
    key = key.strip()
    if not equals or not key:
        raise InputError(
            f"--set {setting!r} is not KEY=VALUE",
            remedy="write it like --set rate_rps=500, --set slo.p99_ms=50 or --set target.model=scorer",
        )
    return key, _value(text.strip())


def _toml(value: Any, key: str) -> str:
    match value:
        case bool() | int() | str():
            return json.dumps(value, ensure_ascii=False)
        case float():
            return float.__repr__(value)
        case PathLike():
            return json.dumps(fspath(value), ensure_ascii=False)
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(str(k))} = {_toml(v, key)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_toml(one, key) for one in value) + "]"
    raise InputError(
        f"{key}={value!r} has no form in a scenario file",
        remedy="leave the key out to keep the scenario's own" if value is None else "use numbers, text, lists, dicts",
    )


def _value(text: str) -> Any:
    """A TOML value; text that is none is a string, so that `--set arrival=poisson` needs no quotes."""
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError as exc:
        if text[:1] in {'"', "'", "[", "{"}:
            raise InputError(
                f"--set: {text!r} begins like a TOML value and is none",
                evidence=str(exc),
                remedy="close the quote or bracket; mind that the shell takes quotes away: --set 'targets=[\"flask\"]'",
            ) from exc
        return text
    return document["value"] if list(document) == ["value"] else text


def _words(key: str, flag: str) -> list[str]:
    """The parts of a dotted key; a part with other characters may be quoted: request.headers."X-Api-Key"."""
    try:
        document: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError as exc:
        raise InputError(
            f"{flag}{key}: that is no key", evidence=str(exc), remedy="keys look like rate_rps or slo.p99_ms"
        ) from exc
    words: list[str] = []
    while isinstance(document, dict):
        (word,) = document
        words.append(word)
        document = document[word]
    return words


def _copied(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in tables.items()}
