"""Reading TOML that people write, so that every mistake comes back as one message they can act on.

Pydantic validates; this file translates what it says: which key, what was seen, what is expected,
in which file, and the nearest key that exists.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from proofload.errors import InputError

M = TypeVar("M", bound=BaseModel)

MAX_TOML_BYTES = 1_000_000
"""A settings file of more than this is something else, named by mistake."""


class Table(BaseModel):
    """A TOML table: frozen, typed as TOML types, no unknown keys, no nan or inf."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=False
    )


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables. Raises InputError with the offending line."""
    try:
        if path.stat().st_size > MAX_TOML_BYTES:
            raise InputError(
                f"{path} is too large to be a settings file",
                evidence=f"{path.stat().st_size:,} bytes; at most {MAX_TOML_BYTES:,} are read",
                remedy="name a *.target.toml or *.scenario.toml file",
            )
        text = path.read_bytes().decode("utf-8")
    except OSError as exc:
        raise InputError(f"cannot read {path}", evidence=str(exc), remedy="check the path and its permissions") from exc
    except UnicodeDecodeError as exc:
        raise InputError(
            f"{path} is not UTF-8 text",
            evidence=f"byte {exc.start} is 0x{exc.object[exc.start]:02x}",
            remedy="save it as UTF-8, or name another file",
        ) from exc
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise InputError(
            f"{path} is not valid TOML: {exc}",
            evidence=_offending_line(text, str(exc)),
            remedy="correct that line; text values stand in quotes, tables in [brackets]",
        ) from exc


def validated(model: type[M], data: Mapping[str, Any], source: str, prefix: str = "") -> M:
    """`data` as a `model`, or one InputError that names every wrong key.

    `source` says where it was written; `prefix` is what stood before each key there, like "target.".
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as exc:
        raise _translated(model, exc, source, prefix) from exc


def dotted_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a model and of the tables in it: "rate_rps", "slo.p99_ms"."""
    for name, field in model.model_fields.items():
        if field.exclude:  # set by the program, never written in a file
            continue
        yield prefix + name
        table = _table_type(field.annotation)
        if table is not None:
            yield from dotted_keys(table, f"{prefix}{name}.")


def nearest_key(key: str, known: Sequence[str]) -> str | None:
    """The known dotted key a person most likely meant: a near spelling, or the right word in another table."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    last = key.rpartition(".")[2]
    elsewhere = [name for name in known if name.rpartition(".")[2] == last]
    if elsewhere and elsewhere[0] != key:
        return elsewhere[0]
    if near:
        return near[0]
    by_last = {name.rpartition(".")[2]: name for name in known}
    words = difflib.get_close_matches(last, by_last, n=1, cutoff=0.6)
    return by_last[words[0]] if words else None


def _translated(model: type[BaseModel], exc: ValidationError, source: str, prefix: str) -> InputError:
    known = [prefix + key for key in dotted_keys(model)]
    unknown: list[str] = []
    seen: dict[str, str] = {}
    expected: dict[str, list[str]] = {}
    for error in exc.errors(include_url=False):
        key, is_known = _key_of(model, error["loc"])
        key = prefix + key if key else ""
        if error["type"] == "extra_forbidden" and not is_known:
            unknown.append(key)
            continue
        wanted = _expected(error["type"], error.get("ctx", {}), error["msg"])
        if wanted not in expected.setdefault(key, []):
            expected[key].append(wanted)
        seen[key] = "nothing" if error["type"] == "missing" else _shown(error["input"])
    lines = [f"unknown key `{key}`" + _suggestion(key, known) for key in unknown]
    for key, choices in expected.items():
        what = f"expected {' or '.join(choices)}"
        lines.append(f"`{key}`: seen {seen[key]}, {what}" if key else what)  # no key: how several go together
    if len(lines) == 1:
        return InputError(f"{source}: {lines[0]}", remedy=_remedy(unknown, known))
    return InputError(
        f"{source}: {len(lines)} keys are wrong", evidence="\n".join(lines), remedy=_remedy(unknown, known)
    )


def _suggestion(key: str, known: Sequence[str]) -> str:
    near = nearest_key(key, known)
    return f" (nearest known one: `{near}`)" if near else ""


def _remedy(unknown: Sequence[str], known: Sequence[str]) -> str:
    if not unknown:
        return "correct the value"
    near = nearest_key(unknown[0], known)
    if near:
        return f"did you mean `{near}`?"
    parent = unknown[0].rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == parent]
    return "known keys here: " + ", ".join(siblings or known)


def _key_of(model: type[BaseModel], loc: Sequence[int | str]) -> tuple[str, bool]:
    """The dotted key of an error, and whether it exists; union branches that pydantic appends are left out."""
    names: list[str] = []
    here: type[BaseModel] | None = model
    branches = 0  # labels of a union's branches yet to come, which pydantic puts between the keys
    for part in loc:
        if branches:
            branches -= 1
        elif here is None:
            names.append(str(part))
        elif str(part) not in here.model_fields:
            return ".".join([*names, str(part)]), False
        else:
            annotation = here.model_fields[str(part)].annotation
            names.append(str(part))
            here = _table_type(annotation)
            branches = 1 if len(_branches(annotation)) > 1 else 0
    return ".".join(names), True


def _branches(annotation: object) -> tuple[object, ...]:
    """The members of a union, None aside: pydantic names the one it tried only where there is a choice."""
    is_union = get_origin(annotation) in {Union, UnionType}
    return tuple(one for one in get_args(annotation) if one is not NoneType) if is_union else ()


def _table_type(annotation: object) -> type[BaseModel] | None:
    for candidate in _branches(annotation) or (annotation,):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


_EXPECTED = {
    "missing": "a value: this key is required",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
}


def _expected(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    bounds = {"greater_than": ("gt", "above"), "greater_than_equal": ("ge", "of at least")}
    bounds |= {"less_than": ("lt", "below"), "less_than_equal": ("le", "of at most")}
    if kind in bounds:
        name, word = bounds[kind]
        return f"a number {word} {context[name]:g}"
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "value_error":
        return str(context["error"])
    if kind in {"too_short", "string_too_short"}:
        return "something: it may not be empty"
    return message


def _shown(value: object, limit: int = 60) -> str:
    if isinstance(value, Mapping):
        return "a table"
    names = {bool: "true or false", str: "text", int: "a whole number", float: "a number", list: "a list"}
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return f"{text} ({names.get(type(value), type(value).__name__)})"


def _offending_line(text: str, message: str) -> str:
    found = re.search(r"at line (\d+), column (\d+)", message)
    lines = text.splitlines()
    if found is None:
        number = len(lines)
        return f"line {number}: {lines[-1]}" if lines else "the file is empty"
    number = int(found[1])
    line = lines[number - 1] if number <= len(lines) else ""
    return f"line {number}: {line[:200]}"
