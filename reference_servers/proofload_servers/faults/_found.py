"""The faults there are: one file each in this package, found by looking."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from proofload_servers.serving.refusals import StartupError

from ._fault import Fault, nearest


@functools.cache
def all_faults() -> Mapping[str, Fault]:
    """Every fault by its name. A file without FAULT is part of another and is passed over."""
    package = importlib.import_module(__package__ or "")
    found: dict[str, Fault] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda item: item.name):
        if not info.name.startswith("_"):
            fault = getattr(importlib.import_module(f"{package.__name__}.{info.name}"), "FAULT", None)
            if isinstance(fault, Fault):
                found[info.name.replace("_", "-")] = fault
    return MappingProxyType(found)


def fault_named(name: str) -> Fault:
    """Raises StartupError, naming the nearest one, when there is none of that name."""
    known = all_faults()
    if name not in known:
        raise StartupError(f"there is no fault named {name!r}; {nearest(name, known)}")
    return known[name]
