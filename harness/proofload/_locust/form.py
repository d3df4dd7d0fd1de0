"""What is asked on Locust's page before a run, and what the Locust process is told at its start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proofload.errors import InputError
from proofload.scenarios import Scenario

ENGINE = "engine (open loop)"
USERS = "gevent users (closed loop)"
LOCAL, MASTER, WORKER = "local", "master", "worker"
_LEVEL = ("constant", "poisson")
"""Arrivals that need no shape of their own."""
_RATES = ("rate_rps", "base_rate_rps")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the page's form. Plain data: it crosses to the Locust process as JSON."""

    name: str
    default: str | float | int
    hint: str
    choices: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """All that the Locust process is told. Plain data."""

    role: str
    host: str = "127.0.0.1"
    """Where the page, and a master's port for workers, is bound."""
    port: int = 8089
    headless: bool = False
    fields: Sequence[Field] = ()
    targets: Sequence[str] = ()
    master_host: str = "127.0.0.1"
    master_port: int = 5557
    samples_port: int = 0
    """Where a master's lab takes samples in."""
    token: str = ""
    expect_workers: int = 1
    worker_patience_s: float = 120.0
    """How long a master without a page waits for them."""
    engines: int = 1
    """Of a worker."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was chosen on the page."""

    target: str
    by_users: bool
    users: int
    overrides: Mapping[str, Any]
    """Keys of the scenario."""


def fields_of(scenario: Scenario, targets: Sequence[str], *, client: str | None, users: int) -> list[Field]:
    """What may be chosen: the target, who sends, and those numbers of the scenario that its procedure reads.

    `client`: ENGINE or USERS, which stands there at first; None: the engine, without a choice.
    """
    fields = [Field("target", targets[0], "what is tested", tuple(targets))]
    if client is not None:
        fields.append(Field("client", client, "who sends", (ENGINE, USERS)))
        fields.append(Field("gevent_users", users, "how many of them, at the full rate; the engine needs none"))
    level = scenario.procedure in {"load", "soak"}
    if level or "arrival" in scenario.model_fields_set:
        choices = dict.fromkeys((scenario.arrival, *_LEVEL))
        fields.append(Field("arrival", scenario.arrival, "the workload's shape", tuple(choices)))
    for name in _RATES:
        value = getattr(scenario, name)
        if value is not None and ((level and name == "rate_rps") or name in scenario.model_fields_set):
            fields.append(Field(name, float(value), "requests a second"))
    if level or "duration_s" in scenario.model_fields_set:
        fields.append(Field("duration_s", float(scenario.duration_s), "the run ends by itself after so long"))
    return fields


def asked_for(settings: Mapping[str, Any], fields: Sequence[Field]) -> Asked:
    """Raises InputError for what is no choice of the form; what a number may be, the scenario says."""
    offered = {field.name: field for field in fields}
    chosen = {name: settings.get(name, field.default) for name, field in offered.items()}
    for name, field in offered.items():
        if field.choices and chosen[name] not in field.choices:
            raise InputError(
                f"{name} = {chosen[name]!r} is not offered", evidence=f"choices: {', '.join(field.choices)}"
            )
    users = int(chosen.pop("gevent_users", 1))
    if users < 1:
        raise InputError(f"{users} gevent users send nothing", remedy="at least one is needed")
    client = chosen.pop("client", ENGINE)
    return Asked(target=str(chosen.pop("target")), by_users=client == USERS, users=users, overrides=chosen)
