"""All faults as a text for people."""

from __future__ import annotations

from itertools import groupby

from ._fault import names_of_options
from ._found import all_faults


def listing() -> str:
    """By scenario: name, what it does, options with their defaults, servers that can have it."""
    lines = ["Faults, by the scenario that is to find them (a control is to be left alone):"]
    named = sorted(all_faults().items(), key=lambda item: (item[1].scenario, item[1].control, item[0]))
    for scenario, group in groupby(named, key=lambda item: item[1].scenario):
        lines += ["", scenario]
        for name, fault in group:
            options = ", ".join(f"{key}={value}" for key, value in names_of_options(fault).items()) or "no options"
            lines.append(f"  {name:24} {'control: ' if fault.control else ''}{fault.summary}")
            lines.append(f"  {'':24} {options} · {' '.join(fault.servers)}")
    return "\n".join(lines) + "\n"
