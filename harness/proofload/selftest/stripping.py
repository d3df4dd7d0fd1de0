"""Takes out of a run folder whatever would tell a diagnosis what was planted.

A foreign server shows its answers, its processes and its pages; not how it was started, nor what its log says.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from proofload.store.folder import write_json, write_whole

_TELLING = frozenset({"command", "env", "log", "log_bytes_cut", "cwd"})


_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "driver": lambda driver: {"name": driver["name"]},  # its other keys may be what is planted
    "canary": lambda _name: None,
    "description": lambda _text: "",
}
"""Settings that judging does not need, and what stays of them."""


def stripped(folder: Path) -> None:
    """Start command, its environment, our own command line, server logs and reports go, and settings that may be the
    defect itself; measurements stay."""
    run = orjson.loads((folder / "run.json").read_bytes())
    for member in ("target", "canary"):
        if run.get(member):
            for telling in ("start", "container", "source", "description"):
                run[member].pop(telling, None)
            run[member]["name"] = "canary" if member == "canary" else "target"
    run["scenario"] |= {key: plain(run["scenario"][key]) for key, plain in _PLAIN.items() if run["scenario"].get(key)}
    run["command"] = ""
    run["placement"]["server"] = _facts(run["placement"]["server"])
    write_json(folder / "run.json", run)
    lines = []
    for line in (folder / "events.jsonl").read_bytes().splitlines():
        event = orjson.loads(line)
        if event["kind"] == "server":
            event["detail"] = {**event["detail"], "name": "", "facts": _facts(event["detail"].get("facts", {}))}
        if event["kind"] in {"target-died", "server-died", "canary-never-started"}:
            event["detail"] = {**event["detail"], "evidence": ""}  # it quotes the log
        lines.append(orjson.dumps(event))
    write_whole(folder / "events.jsonl", b"\n".join(lines) + b"\n")
    shutil.rmtree(folder / "logs", ignore_errors=True)
    for name in ("report.html", "report.md", "result.json"):
        (folder / name).unlink(missing_ok=True)


def _facts(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in _TELLING}
