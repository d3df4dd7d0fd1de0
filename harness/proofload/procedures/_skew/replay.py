"""What is replayed: recorded requests, asked to explain themselves, and some of them once more with values in
another order, which no cache may take for the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from proofload.errors import RunFolderError
from proofload.store.folder import write_whole
from proofload.workloads.payloads import load_payloads

REQUESTS = "requests.jsonl"
TWINS = "twins.json"
_TWIN_ID = "{} with values in another order"


@dataclass(frozen=True, slots=True)
class Request:
    """One payload that was sent. `twin_of`: the payload whose values it holds in another order; −1: it is none."""

    id: str
    body: Any
    expect: Any
    has_expectation: bool
    user: str | None
    twin_of: int


def write_requests(source: Path, folder: Path, *, most: int, twins: int, ask: Mapping[str, Any], seed: int) -> Path:
    """The file that is sent, made from `source`: at most so many of its payloads, drawn at random, `ask` merged into
    each body that is an object; and so many twins without expectation."""
    pool = load_payloads(source)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(len(pool), size=min(most, len(pool)), replace=False)).tolist()
    lines: list[dict[str, Any]] = []
    for index in chosen:
        body = orjson.loads(pool.bodies[index])
        if isinstance(body, dict):
            body = {**body, **ask}
        line: dict[str, Any] = {"id": pool.ids[index] or f"payload {index + 1}", "body": body}
        if not pool.unexpected[index]:
            line["expect"] = pool.expects[index]
        if pool.users[index] is not None:
            line["user"] = pool.users[index]
        if pool.headers and pool.headers[index]:
            line["headers"] = dict(pool.headers[index])
        lines.append(line)
    made: dict[int, int] = {}
    for place in rng.permutation(len(lines)).tolist():
        if len(made) >= twins:
            break
        twin = _reordered(lines[place]["body"], rng) if "expect" in lines[place] else None
        if twin is not None:
            made[len(lines)] = place
            kept = {name: held for name, held in lines[place].items() if name in {"user", "headers"}}
            lines.append({**kept, "id": _TWIN_ID.format(lines[place]["id"]), "body": twin})
    path = folder / REQUESTS
    write_whole(path, b"".join(orjson.dumps(line) + b"\n" for line in lines))
    write_whole(folder / TWINS, json.dumps({str(twin): of for twin, of in made.items()}).encode())
    return path


def read_requests(folder: Path) -> list[Request]:
    """Of a run folder. Raises RunFolderError."""
    try:
        twins = {int(twin): int(of) for twin, of in orjson.loads((folder / TWINS).read_bytes()).items()}
        lines = [orjson.loads(line) for line in (folder / REQUESTS).read_bytes().splitlines()]
        return [
            Request(line["id"], line["body"], line.get("expect"), "expect" in line, line.get("user"),
                    twins.get(index, -1))
            for index, line in enumerate(lines)
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise RunFolderError(
            f"{folder} does not hold what was sent", evidence=repr(exc), remedy="run the scenario again"
        ) from exc


def numbers_in(body: Any) -> tuple[float, ...] | None:
    """All numbers of a body, sorted: two bodies with the same ones differ in their order alone. None: fewer than 2."""
    found = sorted(float(value) for _, _, value in _numbers(body))
    return tuple(found) if len(found) >= 2 else None


def _reordered(body: Any, rng: np.random.Generator) -> Any:
    """A copy in which two numbers have changed places, or those of a list are in another order; None where nothing
    can be: fewer than two different numbers of one kind beside each other."""
    copy = orjson.loads(orjson.dumps(body))
    homes: dict[tuple[int, type], list[tuple[Any, Any]]] = {}
    for home, place, value in _numbers(copy):
        homes.setdefault((id(home), type(value)), []).append((home, place))
    usable = [spots for spots in homes.values() if len({spot[0][spot[1]] for spot in spots}) > 1]
    if not usable:
        return None
    usable.sort(key=lambda spots: (not isinstance(spots[0][0], list), type(spots[0][0][spots[0][1]]) is float))
    spots = usable[0]
    if isinstance(spots[0][0], list):
        order = rng.permutation(len(spots)).tolist()
        values = [home[place] for home, place in spots]
        changed = [values[other] for other in order]
        if changed == values:
            changed = values[::-1]
        for (home, place), value in zip(spots, changed, strict=True):
            home[place] = value
        return copy if changed != values else None
    for _ in range(8):
        one, other = rng.choice(len(spots), size=2, replace=False).tolist()
        (home, a), (_, b) = spots[one], spots[other]
        if home[a] != home[b]:
            home[a], home[b] = home[b], home[a]
            return copy
    return None


def _numbers(value: Any) -> Iterator[tuple[Any, Any, float]]:
    """Every number in a JSON value: (what holds it, its place there, it)."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, held in items:
        if isinstance(held, (int, float)) and not isinstance(held, bool):
            yield value, place, held
        elif isinstance(held, (dict, list)):
            yield from _numbers(held)
