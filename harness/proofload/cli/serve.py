"""`proofload serve`: start one target in the foreground, for a person to try."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proofload.cli.run import Device
from proofload.cli.speaking import out, say
from proofload.errors import InputError

if TYPE_CHECKING:
    from proofload.runtimes import Server
    from proofload.targets import Target

_REFERENCE_SERVERS = "proofload_servers."
_ALLOW_FAULTS = "PROOFLOAD_ALLOW_FAULTS"
_LOOK_EVERY_S = 0.2
_PATIENCE_MS = "5000"
"""What the example tells the server of its caller's patience, where a run tells it the scenario's `timeout_s`."""
_LONGEST_BODY = 2000
"""Characters that a person would still copy from a screen."""
_FIRST_BODY = """python3 -c 'import json,sys; print(json.dumps(json.load(sys.stdin)["body"]))'"""


def serve(
    name: Annotated[str, typer.Argument(help="A target's name (`proofload targets`) or file.")],
    *,
    device: Annotated[Device, typer.Option(help="What it computes on.")] = Device.CPU,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Its port; a free one where none is given.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the target: target.KEY.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="Plant a defect in a reference server; `--fault list` names them all.",
        ),
    ] = None,
) -> None:
    """Start a target in the foreground, for you to try."""
    if fault and "list" in fault:
        out(_list_of_faults())
        return
    from proofload.overrides import parsed
    from proofload.resources import ensure_fixtures
    from proofload.targets import load_target

    changes = parsed(settings or ())
    if changes.scenario:
        raise InputError(
            f"--set {next(iter(changes.scenario))}: serving has no scenario", remedy="use --set target.KEY=…"
        )
    target = load_target(name, overrides=changes.target)
    if target.start is None:
        raise InputError(
            f"target {target.name} does not say how it is started",
            remedy="add [start] with a `command` to its file, or name one of `proofload targets`",
        )
    if fault:
        target = with_faults(target, fault)
    if target.uses("fixtures") and target.model is not None:
        ensure_fixtures(target.model, say)
    target = target.filled({"timeout_ms": _PATIENCE_MS})
    if port is not None:
        target = _at_port(target, port)
    say(f"starting {target.name}")
    with _started(target, device) as (server, log):
        for line in invitation(server):
            out(line)
        _follow(log, server.check_alive)


def _list_of_faults() -> str:
    """What the servers say of them: they are programs, and nothing of theirs is imported here."""
    listed = subprocess.run(
        [sys.executable, "-m", f"{_REFERENCE_SERVERS}faults"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        raise InputError("the faults cannot be listed", evidence=listed.stderr.strip()[-300:])
    return listed.stdout.rstrip()


def with_faults(target: Target, faults: Sequence[str]) -> Target:
    """The target whose command asks for the faults: the server itself knows them and says what is wrong with one.

    Raises InputError for a target that cannot have any, and where faults are not allowed.
    """
    start = target.start
    if start is None or not any(word.startswith(_REFERENCE_SERVERS) for word in start.command):
        raise InputError(
            f"target {target.name} cannot have a fault planted",
            evidence=f"its command starts no {_REFERENCE_SERVERS}…" if start else "nothing says how it is started",
            remedy="name one of the reference servers (`proofload targets`)",
        )
    if os.environ.get(_ALLOW_FAULTS) != "1":
        raise InputError(
            f"--fault is refused unless the environment says {_ALLOW_FAULTS}=1",
            evidence="a planted defect must not get into a server that is meant to serve",
            remedy=f"to try the lab on a defective server: {_ALLOW_FAULTS}=1 proofload serve {target.name} --fault …",
        )
    asked = [word for spec in faults for word in ("--fault", spec)]
    return target.model_copy(update={"start": start.model_copy(update={"command": (*start.command, *asked)})})


def invitation(server: Server) -> list[str]:
    """Where it is, that it is ready, and a call that works."""
    target = server.target
    lines = [f"{target.name} is ready at {target.url}"]
    broker = server.facts().get("broker")
    if broker:
        lines.append(f"broker: {broker['bootstrap']} ({broker['kind']})")
    if target.metrics_url:
        lines.append(f"metrics: {target.metrics_url}")
    example = _example(target)
    if example is not None:
        lines.append(f"try: {example}")
    return [*lines, "Ctrl-C stops it"]


def _example(target: Target) -> str | None:
    """A command that sends the first payload; None where no common tool speaks the transport."""
    from proofload.workloads.payloads import load_payloads

    if target.payloads_path is None or not target.payloads_path.is_file():
        return None
    body = load_payloads(target.payloads_path).bodies[0].decode()
    before = ""
    if len(body) > _LONGEST_BODY:
        before, body = f"head -n 1 {shlex.quote(str(target.payloads_path))} | {_FIRST_BODY} | ", "@-"
    scheme, _, rest = target.url.partition("://")
    if scheme in {"http", "https"}:
        headers = {"Content-Type": "application/json", **target.request.headers}
        flags = "".join(f" -H {_quoted(f'{key}: {value}')}" for key, value in headers.items())
        return f"{before}curl -sS {shlex.quote(target.url)}{flags} -d {shlex.quote(body)}"
    if scheme in {"grpc", "grpcs"} and target.request.method is not None:
        plain = "-plaintext " if scheme == "grpc" else ""
        address = f"{shlex.quote(rest.partition('/')[0])} {shlex.quote(target.request.method)}"
        return f"{before}grpcurl {plain}-d {shlex.quote(body)} {address}" if before == "" else None
    if scheme == "kafka" and target.request.topic is not None and before == "":
        where = f"-b {shlex.quote(rest.partition('/')[0])} -t {shlex.quote(target.request.topic)}"
        return f"echo {shlex.quote(body)} | kcat -P {where} -H {target.request.correlation or 'correlation-id'}=1"
    return None


def _quoted(header: str) -> str:
    """For a shell; a value from the environment stays there: "X-Api-Key: $SCORER_KEY"."""
    name, _, value = header.partition(": ")
    return f'"{name}: ${value.removeprefix("env:")}"' if value.startswith("env:") else shlex.quote(header)


def _at_port(target: Target, port: int) -> Target:
    if "" not in target.ports():
        raise InputError(
            f"target {target.name} has no {{port}} to fill",
            evidence=f"url = {target.url!r}",
            remedy="write {port} in its url and command, or leave --port out",
        )
    return target.filled({"port": str(port)})


@contextmanager
def _started(target: Target, device: Device) -> Iterator[tuple[Server, Path]]:
    from proofload.discovery import module_for
    from proofload.runtimes import Placement, Runtime

    runtime: Runtime = module_for("runtime", "process").create()
    with (
        tempfile.TemporaryDirectory(prefix="proofload-serve-") as logs,
        runtime.start(target, Placement(log_dir=Path(logs), device=str(device))) as server,
    ):
        yield server, Path(str(server.facts()["log"]))


def _follow(log: Path, check_alive: Callable[[], None]) -> None:
    """Copy the log to standard error as it grows, until Ctrl-C, or TargetError when the server dies."""
    with log.open("rb") as file:
        while True:
            chunk = file.read(65536)
            if chunk:
                sys.stderr.write(chunk.decode("utf-8", "replace"))
                sys.stderr.flush()
                continue
            if file.tell() > log.stat().st_size:  # the log was cut because it had grown too long
                file.seek(0, 2)
            check_alive()
            time.sleep(_LOOK_EVERY_S)
