"""The comparison for programs, schema proofload.comparison/1."""

from __future__ import annotations

import json
from typing import Any

from proofload.comparing.found import Beside, Comparison, Level, Metric, Once, Option, Price
from proofload.comparing.readings import Reading
from proofload.records import Interval
from proofload.report.decision.words import answer

SCHEMA = "proofload.comparison/1"


def comparison_text(found: Comparison) -> str:
    return json.dumps(comparison_to_json(found), indent=2, allow_nan=False, default=str)


def comparison_to_json(found: Comparison) -> dict[str, Any]:
    """Plain dicts, lists, strings, numbers and None. Factors are candidate ÷ baseline."""
    return {
        "schema": SCHEMA,
        "standing": str(found.standing),
        "headline": list(answer(found)),
        "baseline": found.options[0].label,
        "requires": list(found.requires),
        "targets": [_option(one) for one in found.options],
        "ranking": [{"target": label, "told_from_the_one_before": apart} for label, apart in found.ranking],
        "comparisons": [_beside(one) for one in found.besides],
        "situations": [_once(one) for one in found.once],
        "not_measured": list(found.not_measured),
        "lifetimes": {
            "planned": found.conservation.planned,
            "valid": found.conservation.valid,
            "attempts": found.conservation.attempts,
            "invalid": found.conservation.invalid,
            "interrupted": found.conservation.interrupted,
            "not_started": found.conservation.not_started,
            "unusable": list(found.conservation.unusable),
            "lost": list(found.conservation.lost),
            "pairs_dropped": found.conservation.pairs_dropped,
            "readings": [_reading(label, one) for label, one in found.readings],
        },
        "settings": dict(found.settings),
        "scenarios": list(found.scenarios),
        "environment": dict(found.environment),
        "command": found.command,
        "started_at": found.started_at,
    }


def _option(one: Option) -> dict[str, Any]:
    return {
        "label": one.label,
        "target": dict(one.target),
        "standing": None if one.standing is None else str(one.standing),
        "meets": str(one.meets),
        "requirements": [
            {
                "name": each.name,
                "status": str(each.status),
                "limit": each.limit,
                "observed": each.observed,
                "evidence": each.evidence,
            }
            for each in one.requirements
        ],
        "rate_rps": one.rate_rps,
        "answers": one.answers,
        "ok_share": one.ok_share,
        "service_p50_ms": _level(one.service_p50),
        "latency_p50_ms": _level(one.latency_p50),
        "latency_p99_ms": _level(one.latency_p99),
        "price": None if one.price is None else _price(one.price),
    }


def _level(found: Level | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": found.value, "interval": _ends(found.interval), "lifetimes": found.lifetimes}


def _price(price: Price) -> dict[str, Any]:
    capacity = price.capacity
    return {
        "per_million": price.cost.per_million,
        "interval": _ends(price.cost.interval),
        "currency": price.cost.currency,
        "priced": price.cost.priced,
        "detail": price.cost.detail,
        "at_capacity": price.at_capacity,
        "capacity_rps": None if capacity is None else capacity.rate_rps,
        "capacity_interval": None if capacity is None else _ends(capacity.interval),
        "instances": _ends(price.instances),
        "per_month": _ends(price.per_month),
    }


def _beside(one: Beside) -> dict[str, Any]:
    return {
        "scenario": one.scenario,
        "candidate": one.candidate,
        "baseline": one.baseline,
        "verdict": None if one.verdict is None else str(one.verdict),
        "because": one.because or None,
        "metrics": [_metric(metric) for metric in one.metrics],
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.kind.key,
        "unit": metric.kind.unit,
        "standing": str(metric.standing),
        "because": metric.because,
        "required": metric.required,
        "why_not": metric.why_not,
        "factor": metric.factor,
        "interval": _ends(metric.interval),
        "level": metric.level,
        "margin": metric.margin,
        "floor": metric.floor,
        "signs": metric.signs,
        "pairs_needed": metric.pairs_needed,
        "pairs": [{"pair": pair + 1, "baseline": ours, "candidate": theirs} for pair, ours, theirs in metric.pairs],
    }


def _once(one: Once) -> dict[str, Any]:
    return {
        "scenario": one.scenario,
        "procedure": one.procedure,
        "target": one.option,
        "status": None if one.status is None else str(one.status),
        "headline": list(one.said),
        "folder": one.folder,
        "canary": one.canary or None,
        "onto_itself": one.onto_itself,
    }


def _reading(label: str, one: Reading) -> dict[str, Any]:
    return {
        "target": label,
        "folder": one.name,
        "pair": one.pair + 1,
        "offered_rps": one.offered_rps,
        "due": one.due,
        "ok": one.ok,
        "answers": one.answers,
        "service_p50_ms": one.service_p50,
        "latency_ms": dict(one.latency),
    }


def _ends(interval: Interval) -> list[float | None]:
    return [interval.low, interval.high]
