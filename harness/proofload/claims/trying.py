"""All claims, or one; each tried once and kept, so that what was interrupted goes on where it stopped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from proofload import __version__
from proofload.claims import STAND_IN, Claim, Measured
from proofload.claims.laboratory import KEPT, Laboratory, refuse_foreign
from proofload.claims.ruling import Ruling, ruling
from proofload.discovery import implementations
from proofload.environment import environment
from proofload.errors import InputError, ProofloadError, Unavailable
from proofload.progress import Progress
from proofload.records import Interval
from proofload.store.folder import write_json

SCHEMA = "proofload.claims/1"
FAILED = "failed"
"""The doubt about an experiment that could not be carried out."""
_HOST = ("cpu", "cores", "memory_gib", "system", "python", "libraries")


@dataclass(frozen=True, slots=True)
class Tried:
    """A claim and what came of it; `measured` is None for one that cannot be tried here, or has not been yet."""

    claim: Claim
    measured: Measured | None
    quick: bool = False
    when: str = ""
    version: str = ""
    host: Mapping[str, Any] | None = None

    @property
    def ruling(self) -> Ruling:
        return Ruling.UNTRIED if self.measured is None else ruling(self.claim.predicts, self.measured)


def known_claims() -> list[Claim]:
    """All of them by number. Raises Unavailable when a file cannot be loaded: a table that leaves one out unasked
    would look better than it is."""
    found = []
    for name, one in implementations("claim").items():
        if one.module is None:
            raise Unavailable(f"the claim {name} cannot be loaded", evidence=one.reason)
        found.append(one.module.create())
    return sorted(found, key=lambda claim: claim.number)


def chosen(only: Sequence[str]) -> list[Claim]:
    """Those of these numbers or names, all where none is given. Raises InputError."""
    every = known_claims()
    words = {word: claim for claim in every for word in (str(claim.number), claim.name)}
    unknown = [word for word in only if word not in words]
    if unknown:
        listed = ", ".join(f"{claim.number} {claim.name}" for claim in every)
        raise InputError(f"there is no claim {unknown[0]!r}", evidence=f"known: {listed}")
    return [claim for claim in every if not only or {str(claim.number), claim.name} & set(only)]


def tried(claims: Sequence[Claim], out: Path, progress: Progress, *, quick: bool) -> Iterator[Tried]:
    """Each claim in turn: what is kept in `out`, else tried now and kept.

    A quick trial does not stand for a full one, nor one without a figure or that the lab called invalid for any.
    Raises RunFolderError, before anything is measured, where an experiment would need the folder of something else.
    """
    for claim in claims:
        refuse_foreign(out / claim.name)
    for claim in claims:
        before = kept(claim, out)
        if claim.measure is None or (_settled(before.measured) and (quick or not before.quick)):
            yield before
        else:
            yield _try(claim, out, progress, quick=quick)


def kept(claim: Claim, out: Path) -> Tried:
    """What an earlier trial left; nothing measured where there was none, or its file is damaged."""
    try:
        row = orjson.loads(_file(claim, out).read_bytes())
        if (row["schema"], row["claim"]) != (SCHEMA, claim.name):
            raise ValueError("it is not of this claim")
        host = {key: row["host"][key] for key in _HOST} | {"libraries": dict(row["host"]["libraries"])}
        return Tried(claim, _measured(row["measured"]), bool(row["quick"]), str(row["when"]), str(row["version"]), host)
    except (OSError, ValueError, KeyError, TypeError):
        return Tried(claim, None)


def document(rows: Sequence[Tried]) -> dict[str, Any]:
    """As --json writes it."""
    return {
        "schema": SCHEMA,
        "claims": [
            {
                **{key: value for key, value in asdict(row.claim).items() if key != "measure"},
                "ruling": row.ruling.name.lower(),
                "measured": None if row.measured is None else asdict(row.measured),
                "quick": row.quick,
                "when": row.when,
            }
            for row in rows
        ],
    }


def _try(claim: Claim, out: Path, progress: Progress, *, quick: bool) -> Tried:
    assert claim.measure is not None
    try:
        measured = claim.measure(Laboratory(out / claim.name, progress, quick=quick))
    except ProofloadError as exc:
        told = "; ".join(filter(None, (exc.what, exc.evidence)))[:1000]
        measured = Measured(None, Interval(None, None), f"it could not be tried: {told}", (FAILED,))
    row = Tried(claim, measured, quick, datetime.now(UTC).isoformat(timespec="minutes"), __version__, _host())
    if FAILED not in measured.doubts:
        kept_as = {"schema": SCHEMA, "claim": claim.name, "measured": asdict(measured), "quick": quick}
        write_json(_file(claim, out), {**kept_as, "when": row.when, "version": row.version, "host": row.host})
    return row


def _settled(measured: Measured | None) -> bool:
    return measured is not None and measured.value is not None and set(measured.doubts) <= {STAND_IN}


def _file(claim: Claim, out: Path) -> Path:
    return out / claim.name / KEPT


def _measured(row: Mapping[str, Any]) -> Measured:
    ends = row["interval"]
    interval = Interval(_number(ends["low"]), _number(ends["high"]))
    return Measured(_number(row["value"]), interval, str(row["detail"]), tuple(map(str, row["doubts"])))


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if not math.isfinite(number := float(value)):
        raise ValueError("no number")
    return number


def _host() -> dict[str, Any]:
    """What the figures depend on, for the report."""
    here = environment()
    return {key: here[key] for key in _HOST}
