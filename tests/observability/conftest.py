"""What the servers and the rules make known to Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from proofload_servers.serving.cache.counts import CacheCounts
from proofload_servers.serving.drift_gauges import DriftGauges
from proofload_servers.serving.metrics import Metrics

OF_PROMETHEUS = {"up", "ALERTS"}


@pytest.fixture(scope="session")
def observability(checkout: Path) -> Path:
    return checkout / "observability"


@pytest.fixture(scope="session")
def rules(observability: Path) -> list[dict[str, Any]]:
    """Every rule of every file."""
    files = sorted((observability / "prometheus" / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="session")
def exported() -> set[str]:
    """The names that a server really shows, of every option it may be started with."""
    registry = CollectorRegistry()
    DriftGauges(registry)
    CacheCounts(registry, remote=True)
    metrics = Metrics()
    families = [*metrics.registry.collect(), *registry.collect(), *_kept_in_memory().collect()]
    names = set(OF_PROMETHEUS)
    for family in families:
        match family.type:
            case "counter":
                names.add(f"{family.name}_total")
            case "histogram":
                names |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
            case _:
                names.add(family.name)
    return names


@pytest.fixture(scope="session")
def recorded(rules: list[dict[str, Any]]) -> set[str]:
    return {rule["record"] for rule in rules if "record" in rule}


def _kept_in_memory() -> CollectorRegistry:
    registry = CollectorRegistry()
    CacheCounts(registry, remote=False)
    return registry
