"""result.json, schema proofload.result/1: the JSON form of records.Result, both ways.

Percentiles are flattened as people expect them ("p99": 12.3) with their intervals, censored names and needed
sample sizes beside them; a percentile that the sample cannot support is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from proofload.records import (
    RESULT_SCHEMA,
    Capacity,
    Check,
    ClientHealth,
    Cost,
    Distribution,
    Energy,
    Interval,
    PhaseSummary,
    Quantile,
    Result,
    Status,
    Validity,
)

_Q = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}


def result_to_json(result: Result) -> dict[str, Any]:
    """The JSON form, of plain dicts, lists, strings, numbers and None."""
    document: dict[str, Any] = {
        "schema": RESULT_SCHEMA,
        "scenario": result.scenario,
        "procedure": result.procedure,
        "target": dict(result.target),
        "status": str(result.status),
        "headline": list(result.headline),
        "validity": [asdict(item) for item in result.validity],
        "checks": [_check(check) for check in result.checks],
        "phases": [_phase(phase) for phase in result.phases],
        "client": _client(result.client) if result.client else None,
        "capacity": _capacity(result.capacity) if result.capacity else None,
        "cost": _cost(result.cost) if result.cost else None,
        "warmup": dict(result.warmup),
        "environment": dict(result.environment),
        "command": result.command,
        "started_at": result.started_at,
        "duration_s": result.duration_s,
    }
    if result.details:
        document["details"] = dict(result.details)
    if result.canary is not None:
        document["canary"] = dict(result.canary)
    return document


def result_from_json(document: Mapping[str, Any]) -> Result:
    """The record of a document. Raises ValueError for another schema, KeyError for a missing member."""
    if document.get("schema") != RESULT_SCHEMA:
        raise ValueError(f"schema {document.get('schema')!r} instead of {RESULT_SCHEMA!r}")
    return Result(
        scenario=document["scenario"],
        procedure=document["procedure"],
        target=document["target"],
        status=Status(document["status"]),
        validity=tuple(Validity(**item) for item in document["validity"]),
        checks=tuple(_check_back(item) for item in document["checks"]),
        phases=tuple(_phase_back(item) for item in document["phases"]),
        client=_client_back(document["client"]) if document["client"] else None,
        cost=_cost_back(document["cost"]) if document["cost"] else None,
        environment=document["environment"],
        command=document["command"],
        started_at=document["started_at"],
        duration_s=document["duration_s"],
        canary=document.get("canary"),
        capacity=_capacity_back(document["capacity"]) if document.get("capacity") else None,
        headline=tuple(document.get("headline", ())),
        details=document.get("details", {}),
        warmup=document.get("warmup", {}),
    )


def distribution_to_json(distribution: Distribution) -> dict[str, Any]:
    quantiles = distribution.quantiles
    return {
        "n": distribution.n,
        **{name: quantile.value for name, quantile in quantiles.items()},
        "max": distribution.max_ms,
        "mean": distribution.mean_ms,
        "intervals": {name: _interval(quantile.interval) for name, quantile in quantiles.items()},
        "censored": [name for name, quantile in quantiles.items() if quantile.censored],
        "needs": {name: quantile.needs for name, quantile in quantiles.items() if quantile.needs is not None},
    }


def distribution_from_json(document: Mapping[str, Any]) -> Distribution:
    return Distribution(
        n=document["n"],
        quantiles={
            name: Quantile(
                q=q,
                value=document[name],
                interval=_interval_back(document["intervals"][name]),
                censored=name in document["censored"],
                needs=document.get("needs", {}).get(name),
            )
            for name, q in _Q.items()
            if name in document
        },
        max_ms=document["max"],
        mean_ms=document.get("mean"),
    )


def _interval(interval: Interval) -> list[float | None]:
    return [interval.low, interval.high]


def _interval_back(pair: list[float | None]) -> Interval:
    return Interval(pair[0], pair[1])


def _check(check: Check) -> dict[str, Any]:
    return {**asdict(check), "status": str(check.status), "interval": _interval(check.interval)}


def _check_back(item: Mapping[str, Any]) -> Check:
    return Check(**{**item, "status": Status(item["status"]), "interval": _interval_back(item["interval"])})


def _phase(phase: PhaseSummary) -> dict[str, Any]:
    return {
        "name": phase.name,
        "planned": phase.planned - phase.excluded,
        "excluded": phase.excluded,
        "measured": phase.measured,
        "duration_s": phase.duration_s,
        "outcomes": dict(phase.outcomes),
        "offered_rps": phase.offered_rps,
        "goodput_rps": phase.goodput_rps,
        "latency_ms": distribution_to_json(phase.latency),
        "service_ms": distribution_to_json(phase.service),
        "connection_wait_ms": distribution_to_json(phase.connection_wait),
        "delivery": dict(phase.delivery) if phase.delivery is not None else None,
    }


def _phase_back(item: Mapping[str, Any]) -> PhaseSummary:
    return PhaseSummary(
        name=item["name"],
        planned=item["planned"] + item["excluded"],
        excluded=item["excluded"],
        measured=item["measured"],
        duration_s=item["duration_s"],
        outcomes=item["outcomes"],
        offered_rps=item["offered_rps"],
        goodput_rps=item["goodput_rps"],
        latency=distribution_from_json(item["latency_ms"]),
        service=distribution_from_json(item["service_ms"]),
        connection_wait=distribution_from_json(item["connection_wait_ms"]),
        delivery=item["delivery"],
    )


def _client(client: ClientHealth) -> dict[str, Any]:
    return {
        "send_lag_ms": distribution_to_json(client.send_lag),
        "cpu_share": client.cpu_share,
        "cores": client.cores,
        "runqueue_share": client.runqueue_share,
        "loop_stalls": client.loop_stalls,
        "gc_pause_ms": client.gc_pause_ms,
    }


def _client_back(item: Mapping[str, Any]) -> ClientHealth:
    return ClientHealth(
        send_lag=distribution_from_json(item["send_lag_ms"]),
        **{key: value for key, value in item.items() if key != "send_lag_ms"},
    )


def _capacity(capacity: Capacity) -> dict[str, Any]:
    return {**asdict(capacity), "interval": _interval(capacity.interval), "steps": [dict(s) for s in capacity.steps]}


def _capacity_back(item: Mapping[str, Any]) -> Capacity:
    return Capacity(**{**item, "interval": _interval_back(item["interval"]), "steps": tuple(item["steps"])})


def _cost(cost: Cost) -> dict[str, Any]:
    document = {**asdict(cost), "interval": _interval(cost.interval)}
    if cost.energy is None:
        del document["energy"]
    else:
        document["energy"]["interval"] = _interval(cost.energy.interval)
    return document


def _cost_back(item: Mapping[str, Any]) -> Cost:
    energy = item.get("energy")
    told = energy and Energy(**{**energy, "interval": _interval_back(energy["interval"])})
    return Cost(**{**item, "interval": _interval_back(item["interval"]), "energy": told})
