"""Which runs may be compared: those of one kind of host, with one configuration.

Which version is under test is no part of either, as far as the target file says where it stands: an image's tag and
digest, `response.expected_version`, and what `version_in` names. Nor are its answers, nor what differs from run to run
without meaning anything: free ports, folders, process ids, the boot.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import orjson

_NOT_CONFIGURED = ("name", "description", "targets", "seed", "device")
_PORT_FROM = 1024
_PORT = "{port}"
_VERSION = "{version}"
_IMAGES_VERSION = re.compile(r"(:[\w.-]+)?(@.*)?$")
"""Tag and digest; the port of a registry has a path behind it."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Two digests, each with the facts that it was made of."""

    host: str
    host_facts: Mapping[str, Any]
    configuration: str
    configuration_facts: Mapping[str, Any]


def likeness(run: Mapping[str, Any]) -> Likeness:
    """Of a run.json."""
    host, configuration = _host(run), _configuration(run)
    return Likeness(_digest(host), host, _digest(configuration), configuration)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two sets of facts: "duration_s: 20.0 → 60.0"."""
    one, other = dict(_flat(before)), dict(_flat(after))
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return [f"{key}: {one.get(key, 'none')} → {other.get(key, 'none')}" for key in keys]


def _host(run: Mapping[str, Any]) -> dict[str, Any]:
    seen = run["environment"]
    return {
        "cpu": seen.get("cpu"),
        "cores": seen.get("cores"),
        "usable cores": len(seen.get("usable_cores") or ()),
        "memory (GiB)": round(seen.get("memory_gib") or 0),
        "system": seen.get("system"),
        "accelerators": seen.get("accelerators"),
    }


def _configuration(run: Mapping[str, Any]) -> dict[str, Any]:
    targets = [_unversioned(run[key]) if run.get(key) else None for key in ("target", "canary")]
    ports = _ports(targets)
    placement, payloads = run.get("placement", {}), run.get("payloads", {})
    return {
        "proofload": run["environment"].get("proofload"),
        "python": run["environment"].get("python"),
        "quick": run.get("quick"),
        "scenario": {key: value for key, value in run["scenario"].items() if key not in _NOT_CONFIGURED},
        "target": _plain(targets[0], ports),
        "second version": _plain(targets[1], ports),
        "runtime": placement.get("runtime"),
        "device": placement.get("device"),
        "engine cores": len(placement.get("engine_cores") or ()),
        "target cores": len(placement.get("target_cores") or ()),
        "payloads": {key: payloads.get(key) for key in ("count", "mean_bytes", "with_expectation")},
    }


def _unversioned(target: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says which version it is, which process, and where its file lies."""
    kept = {key: value for key, value in target.items() if key not in {"source", "description", "version_in"}}
    for table, key in (("response", "expected_version"), ("probe", "pid")):
        kept[table] = {name: value for name, value in target.get(table, {}).items() if name != key}
    named = frozenset(target.get("version_in", ()))
    for table in {"start", "container"} & kept.keys():
        kept[table] = _one_of_any_version(kept[table], named)
    return kept


def _one_of_any_version(way: Mapping[str, Any], named: frozenset[str]) -> dict[str, Any]:
    """[start] or [container]; `named`: variables and flags whose values are versions."""
    command: list[str] = []
    for word in way.get("command", ()):
        flag, equals, _ = word.partition("=")
        if equals and flag in named:
            command.append(f"{flag}={_VERSION}")
        else:
            command.append(_VERSION if command and command[-1] in named else word)
    env = {name: _VERSION if name in named else value for name, value in way.get("env", {}).items()}
    image = {"image": _IMAGES_VERSION.sub("", way["image"])} if "image" in way else {}
    return {**way, "command": command, "env": env, **image}


def _ports(targets: Sequence[Mapping[str, Any] | None]) -> frozenset[str]:
    """Port numbers that occur in any address of the targets."""
    found = set()
    for _, value in _flat(targets):
        for address in re.findall(r"[\w.\-\]]+:(\d{4,5})(?!\d)", value) if isinstance(value, str) else ():
            if int(address) >= _PORT_FROM:
                found.add(address)
    return frozenset(found)


def _plain(value: Any, ports: frozenset[str]) -> Any:
    """Without ports, and with files by their names."""
    if isinstance(value, str):
        text = re.sub(r"\d{4,5}", lambda number: _PORT if number[0] in ports else number[0], value)
        if "://" in text:
            parts = urlsplit(text)
            return text if parts.scheme != "file" else PurePosixPath(parts.path).name
        return PurePosixPath(text).name if text.startswith("/") and text.count("/") > 1 else text
    if isinstance(value, Mapping):
        return {key: _PORT if _is_port(key, item) else _plain(item, ports) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        before = ["", *value]
        return [
            _PORT if _is_port(last, item) else _plain(item, ports) for last, item in zip(before, value, strict=False)
        ]
    return value


def _is_port(named: object, value: object) -> bool:
    """`--metrics-port 23223`, METRICS_PORT=23223."""
    return isinstance(named, str) and "port" in named.lower() and isinstance(value, str) and value.isdigit()


def _flat(facts: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(facts, Mapping):
        for key, value in facts.items():
            yield from _flat(value, f"{before}.{key}" if before else str(key))
    elif isinstance(facts, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in facts):
        for number, value in enumerate(facts):
            yield from _flat(value, f"{before}.{number}")
    elif isinstance(facts, (list, tuple)):
        yield before, " ".join(map(str, facts))
    else:
        yield before, facts


def _digest(facts: Mapping[str, Any]) -> str:
    text = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)
    return hashlib.sha256(text).hexdigest()[:12]
