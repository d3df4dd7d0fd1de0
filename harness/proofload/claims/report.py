"""claims.md: what is said, what was measured here, and whether it holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from proofload.claims import Claim, Prediction
from proofload.claims.ruling import Ruling
from proofload.claims.trying import Tried
from proofload.store.folder import write_whole

NAME = "claims.md"
_FIGURES = 3


def write(folder: Path, rows: Sequence[Tried], *, command: str) -> Path:
    """Writes claims.md into `folder` and returns its path. Raises RunFolderError."""
    path = folder / NAME
    write_whole(path, ("\n".join(_page(rows, command)) + "\n").encode())
    return path


def measured_text(row: Tried) -> str:
    """The figure with its interval and unit; what there is instead where there is none."""
    if row.measured is None:
        return "" if row.claim.untried else "not tried yet"
    if row.measured.value is None:
        return "no figure"
    interval = row.measured.interval
    unit = row.claim.predicts.unit
    return f"{_with_unit(row.measured.value, unit)} ({_end(interval.low)}–{_end(interval.high)})"


def predicted_text(prediction: Prediction) -> str:
    """The range that the claim leaves."""
    unit = prediction.unit
    if prediction.low is None and prediction.high is not None:
        return f"below {_with_unit(prediction.high, unit)}"
    if prediction.high is None and prediction.low is not None:
        return f"at least {_with_unit(prediction.low, unit)}"
    return f"{_end(prediction.low)}–{_end(prediction.high)}{_space(unit)}{unit}"


def ruled_text(row: Tried) -> str:
    """The ruling, with what leaves it in doubt."""
    doubts = () if row.measured is None else row.measured.doubts
    return f"{row.ruling} ({', '.join(doubts)})" if doubts else str(row.ruling)


def _page(rows: Sequence[Tried], command: str) -> Iterator[str]:
    yield "# Published claims about serving, tried on this machine"
    yield ""
    yield (
        f"Made by `{command}`. A claim is *confirmed* where the whole interval (99 %; what counts is lifetimes of "
        "the servers, not requests) lies within what it says, *not confirmed* where none of it does, and "
        "*inconclusive* otherwise, or where there is a doubt: the lab called a measurement invalid, or something stood "
        "in for the real thing. What holds here, on one machine without a network, need not hold elsewhere: "
        "`proofload claims` tries it there."
    )
    yield ""
    yield from _summary(rows)
    tried = [row for row in rows if not row.claim.untried]
    yield ""
    yield "| | claim | source | quantity | said | measured here | |"
    yield "| ---: | --- | --- | --- | ---: | ---: | --- |"
    for row in tried:
        claim = row.claim
        cells = (claim.says, claim.source, claim.predicts.quantity, predicted_text(claim.predicts), measured_text(row))
        yield f"| {claim.number} | {' | '.join(map(_cell, cells))} | {_ruled(row)} |"
    yield ""
    yield "## How each was tried"
    for row in tried:
        yield ""
        yield f"**{row.claim.number} {row.claim.name}.** {_cell(row.claim.how)}"
        if row.measured is not None:
            yield f"Seen: {_cell(row.measured.detail)}.{_doubted(row)}{' Quick: shortened.' if row.quick else ''}"
    yield ""
    yield "## Not tried, and why"
    yield ""
    yield from (_left_out(row.claim) for row in rows if row.claim.untried)
    yield from _machine(rows)


def _summary(rows: Sequence[Tried]) -> Iterator[str]:
    counts = {ruling: sum(row.ruling is ruling for row in rows) for ruling in Ruling}
    not_confirmed = counts[Ruling.LESS] + counts[Ruling.MORE]
    yield (
        f"Of {len(rows)} claims, confirmed here: {counts[Ruling.CONFIRMED]}; not confirmed: {not_confirmed} "
        f"({counts[Ruling.LESS]} less than is said, {counts[Ruling.MORE]} more); open: {counts[Ruling.INCONCLUSIVE]}; "
        f"not tried: {counts[Ruling.UNTRIED]}."
    )


def _machine(rows: Sequence[Tried]) -> Iterator[str]:
    """Each machine that measured, once, with when and by which version."""
    told: dict[str, list[Tried]] = {}
    for row in rows:
        if row.host is not None:
            told.setdefault(_host_text(row.host), []).append(row)
    if told:
        yield ""
        yield "## Where and when"
        yield ""
    for host, own in told.items():
        numbers = ", ".join(str(row.claim.number) for row in own)
        when = sorted(row.when for row in own)
        versions = ", ".join(sorted({row.version for row in own}))
        yield f"- Claims {numbers}: {host}; {when[0]} to {when[-1]}; proofload {versions}"


def _host_text(host: Mapping[str, Any]) -> str:
    runtime = host.get("libraries", {}).get("onnxruntime", "")
    words = f"{host['cpu']}, {host['cores']} cores, {host['memory_gib']} GiB, {host['system']}, Python {host['python']}"
    return _cell(f"{words}, ONNX Runtime {runtime}" if runtime else words)


def _left_out(claim: Claim) -> str:
    return f"- {claim.number} {_cell(claim.says)} ({_cell(claim.source)}): {_cell(claim.untried)}."


def _ruled(row: Tried) -> str:
    return f"**{row.ruling}**" if row.measured is not None else ""


def _doubted(row: Tried) -> str:
    assert row.measured is not None
    return f" In doubt: {', '.join(row.measured.doubts)}." if row.measured.doubts else ""


def _with_unit(value: float, unit: str) -> str:
    return f"{_figures(value)}{_space(unit)}{unit}"


def _space(unit: str) -> str:
    return " " if unit and unit != "%" else ""


def _end(value: float | None) -> str:
    return "?" if value is None or not math.isfinite(value) else _figures(value)


def _figures(value: float) -> str:
    """Three significant ones, never in powers of ten."""
    if value == 0.0:
        return "0"
    places = max(0, _FIGURES - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
