"""Finds the implementations of each extension point: one file each, never named by the core.

A module of the kind's package that defines `create` is an implementation; its file name, with
hyphens for underscores, is its name. People who installed the wheel add theirs through an entry
point group of the same name as the package (`proofload.transports`, …) whose value is the module:

    [project.entry-points."proofload.transports"]
    line = "my_package.line_transport"

A module whose import fails is kept as unavailable, with the reason, so that a missing optional
library disables one thing and breaks nothing else.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType, ModuleType

from proofload.errors import InputError, Unavailable

KINDS = {
    "arrival": "proofload.workloads.arrivals",
    "transport": "proofload.transports",
    "runtime": "proofload.runtimes",
    "probe": "proofload.probes",
    "procedure": "proofload.procedures",
    "driver": "proofload.drivers",
    "report format": "proofload.report.formats",
    "experiment report": "proofload.report.experiments",
    "trial": "proofload.selftest.trials",
    "planting": "proofload.selftest.plantings",
    "claim": "proofload.claims.published",
}
"""Extension points: what people call one, and the package (and entry point group) it lives in."""


@dataclass(frozen=True, slots=True)
class Found:
    """One implementation: its module, or why it cannot be used here."""

    name: str
    module: ModuleType | None
    reason: str = ""


@functools.cache
def implementations(kind: str) -> Mapping[str, Found]:
    """All implementations of a kind, by name, built-in ones first; entry points cannot replace them."""
    package_name = KINDS[kind]
    found: dict[str, Found] = {}
    package = importlib.import_module(package_name)
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda item: item.name):
        if not info.name.startswith("_"):
            one = _looked_at(info.name.replace("_", "-"), f"{package_name}.{info.name}")
            if one.module is None or hasattr(one.module, "create"):  # a module without it is part of another
                found[one.name] = one
    for entry in sorted(metadata.entry_points(group=package_name), key=lambda item: item.name):
        if entry.name not in found:
            one = _looked_at(entry.name, entry.value)
            missing = one.module is not None and not hasattr(one.module, "create")
            found[one.name] = Found(one.name, None, f"{entry.value} defines no create()") if missing else one
    return MappingProxyType(found)


def module_for(kind: str, name: str) -> ModuleType:
    """The module that implements `name`.

    Raises InputError for an unknown name (naming the nearest known one), Unavailable for one whose
    import failed.
    """
    known = implementations(kind)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise InputError(
            f"there is no {kind} named {name!r}",
            evidence=f"known: {', '.join(sorted(known))}",
            remedy=f"did you mean {near[0]!r}?" if near else "choose one of the known names",
        )
    found = known[name]
    if found.module is None:
        raise Unavailable(
            f"the {kind} {name!r} is unavailable here",
            evidence=found.reason,
            remedy="install what is missing; `proofload doctor` lists all parts and what they need",
        )
    return found.module


def _looked_at(name: str, module_name: str) -> Found:
    try:
        return Found(name, importlib.import_module(module_name))
    except Exception as exc:  # noqa: BLE001  any failure of an optional part: kept as its reason, shown by doctor
        return Found(name, None, f"{type(exc).__name__}: {exc}")
