"""From what a person names — a target's name, a file, a URL — to a `Target`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from proofload import discovery
from proofload.errors import InputError, ProofloadError
from proofload.overrides import settled
from proofload.resources import Layout, Listed, first_comment
from proofload.target_model import (
    Container,
    Health,
    Limits,
    ProbeTable,
    RequestTable,
    ResponseTable,
    Start,
    Target,
)
from proofload.toml_input import read_toml

__all__ = [
    "Container",
    "Health",
    "Limits",
    "ProbeTable",
    "RequestTable",
    "ResponseTable",
    "Start",
    "Target",
    "known_targets",
    "load_target",
]

EMPTY: Mapping[str, Any] = {}


def load_target(
    what: str, *, payloads: str | None = None, overrides: Mapping[str, Any] = EMPTY, layout: Layout | None = None
) -> Target:
    """The target that `what` names: a known name, a `*.target.toml` file, or a bare URL.

    `payloads` (relative to the working directory) takes the place of the file's own; `overrides` are
    dotted keys of the target file. Raises InputError, or Unavailable when its transport cannot be used here.
    """
    layout = layout or Layout.here()
    source: Path | None = None
    if "://" in what:
        tables, shown = _from_url(what), what
    else:
        source = _file_named(what, layout)
        tables, shown = _with_name(read_toml(source), source), str(source)
    if payloads is not None:
        tables = {**tables, "payloads": str(Path(payloads).absolute())}
    target = _checked(tables, source, shown, overrides)
    discovery.module_for("transport", target.transport)
    _refuse_broken_paths(target)
    return target


def known_targets(layout: Layout | None = None) -> Iterator[Listed]:
    """Every target that has a name, each once, the file that wins; broken files with what is wrong."""
    seen: set[str] = set()
    for path in (layout or Layout.here()).target_files():
        try:
            target = _checked(_with_name(read_toml(path), path), path, str(path))
            listed = Listed(target.name, target.description or first_comment(path), path)
        except ProofloadError as exc:
            listed = Listed(_default_name(path), "", path, problem=exc.what)
        if listed.name not in seen:
            seen.add(listed.name)
            yield listed


def _checked(
    tables: Mapping[str, Any], source: Path | None, shown: str, overrides: Mapping[str, Any] = EMPTY
) -> Target:
    if "source" in {**tables, **overrides}:
        raise InputError(f"{shown}: unknown key `source`", remedy="remove it")
    target = settled(Target, tables, overrides, source=shown, flag="--set target.").model_copy(
        update={"source": source}
    )
    slips = target.misspelt_placeholders()
    if slips:
        raise InputError(f"{shown}: unknown placeholder {slips[0]}", remedy="known: {port}, {port:NAME}, {python}, "
                         "{device}, {model}, {fixtures}, {broker}")  # fmt: skip
    return target


def _refuse_broken_paths(target: Target) -> None:
    """JSONPaths that do not parse, before anything is started."""
    from proofload.engine.answers import compile_path

    for key, path in (("prediction", target.response.prediction), ("version", target.response.version)):
        if path is None:
            continue
        try:
            compile_path(path)
        except InputError as exc:
            what = f"target {target.name}: response.{key}: {exc.what}"
            raise InputError(what, evidence=exc.evidence, remedy=exc.remedy) from exc


def _file_named(what: str, layout: Layout) -> Path:
    path = Path(what)
    if path.is_file():
        return path.absolute()
    if path.is_dir() and (path / "target.toml").is_file():
        return (path / "target.toml").absolute()
    meant = _url_meant(what)
    if meant is not None:
        raise InputError(
            f"{what!r} is neither a file nor a URL", remedy=f"a URL needs a scheme and two slashes: {meant}"
        )
    if path.suffix == ".toml" or len(path.parts) > 1:
        raise InputError(f"there is no file {what}", evidence=f"looked in {layout.working}", remedy="check the path")
    names: dict[str, Path] = {}
    for file in layout.target_files():
        names.setdefault(_name_in(file), file)
    if what in names:
        return names[what]
    near = difflib.get_close_matches(what, names, n=1)
    remedy = (
        f"did you mean {near[0]!r}?" if near else "`proofload targets` lists the names; a file or a URL will do too"
    )
    raise InputError(
        f"there is no target named {what!r}", evidence=f"known: {', '.join(sorted(names)) or 'none'}", remedy=remedy
    )


def _url_meant(what: str) -> str | None:
    """The URL that something like http:/host/path or host:8000 was to be."""
    scheme, colon, rest = what.partition(":")
    if colon and scheme.lower() in _schemes():
        return f"{scheme}://{rest.lstrip('/')}"
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", what):
        return f"http://{what if '/' in what else what + '/…'}"
    return None


def _schemes() -> dict[str, str]:
    """URL schemes, each with the transport that serves it."""
    schemes: dict[str, str] = {}
    for name, found in discovery.implementations("transport").items():
        for scheme in getattr(found.module, "SCHEMES", ()):
            schemes.setdefault(scheme, name)
    return schemes


def _from_url(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    schemes = _schemes()
    if parts.scheme.lower() not in schemes:
        near = difflib.get_close_matches(parts.scheme.lower(), schemes, n=1)
        raise InputError(
            f"no transport serves URLs that begin with {parts.scheme}://",
            evidence=f"known: {', '.join(f'{scheme}://' for scheme in sorted(schemes))}",
            remedy=f"did you mean {near[0]}://?" if near else "write a target file that names its `transport`",
        )
    host = parts.netloc.rpartition("@")[2]
    name = re.sub(r"[^A-Za-z0-9._:+-]+", "-", host).strip("-._:+")[:100] or parts.scheme
    return {"name": name, "transport": schemes[parts.scheme.lower()], "url": url}


def _with_name(tables: dict[str, Any], path: Path) -> dict[str, Any]:
    return tables if "name" in tables else {"name": _default_name(path), **tables}


def _default_name(path: Path) -> str:
    return path.parent.name if path.name == "target.toml" else path.name.partition(".")[0]


def _name_in(path: Path) -> str:
    try:
        name = read_toml(path).get("name")
    except InputError:
        return _default_name(path)
    return name if isinstance(name, str) else _default_name(path)
