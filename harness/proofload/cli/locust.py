"""`proofload locust`: Locust's page over our workloads; a master and workers for more than one machine."""

from __future__ import annotations

import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proofload.cli.beforehand import new_folder
from proofload.cli.run import Device, chosen_targets
from proofload.cli.speaking import say
from proofload.errors import EXIT_PASS, InputError

if TYPE_CHECKING:
    from proofload._locust.form import Page
    from proofload._locust.locust_process import LocustProcess
    from proofload._locust.session import Ended, Offer
    from proofload.records import Result
    from proofload.scenarios import Scenario
    from proofload.targets import Target

_USERS = 50
"""What stands in the form at first."""


def locust(
    context: typer.Context,
    *,
    target: Annotated[
        list[str] | None, typer.Option(metavar="NAME|FILE|URL", help="What may be chosen on the page; may be repeated.")
    ] = None,
    scenario: Annotated[str, typer.Option(metavar="NAME|FILE", help="The scenario that each run follows.")] = "load",
    payloads: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Requests to send, one JSON object a line.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the scenario, or of the target: target.KEY."),
    ] = None,
    rate: Annotated[float | None, typer.Option(metavar="RPS", help="The same as --set rate_rps=RPS.")] = None,
    users: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Let N gevent users send, not the engine: a closed loop.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The scenario's short form.")] = False,
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the target lives: process, container or external.")
    ] = None,
    device: Annotated[Device | None, typer.Option(help="What a started target computes on.")] = None,
    bind: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where the page, and a master's ports for workers, are reached.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The page's port; 0: a free one.")] = 8089,
    headless: Annotated[bool, typer.Option("--headless", help="No page: one run, its verdict, an exit code.")] = False,
    time_limit: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="End each run after so long, whatever its plan.")
    ] = None,
    master: Annotated[bool, typer.Option("--master", help="Let workers send: this host only directs them.")] = False,
    worker: Annotated[bool, typer.Option("--worker", help="Send for a master.")] = False,
    master_host: Annotated[str, typer.Option(metavar="ADDRESS", help="--worker: where the master is.")] = "127.0.0.1",
    master_port: Annotated[
        int, typer.Option(help="The master's port for workers; samples come in on the one above it.")
    ] = 5557,
    expect_workers: Annotated[int, typer.Option(min=1, help="--master --headless: how many to wait for.")] = 1,
    worker_patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="--master --headless: how long to wait for them.")
    ] = 120.0,
    core: Annotated[
        list[int] | None, typer.Option(help="--worker: an engine process on this core; may be repeated. Absent: one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder; without --headless: where they are made.")
    ] = None,
) -> int:
    """Open Locust's page over our workloads: choose a target, start, watch, stop, read the report.

    With --master here and --worker there, the load comes from several machines.
    """
    from proofload._locust.form import ENGINE, LOCAL, MASTER, USERS, Page, fields_of
    from proofload._locust.session import Offer
    from proofload.cli.command_line import as_typed
    from proofload.overrides import parsed
    from proofload.scenarios import load_scenario

    if worker:
        _refuse(master or headless or bool(target), "--worker takes its orders, and its target, from the master")
        return _work(master_host, master_port, core or [None])
    _refuse(master and users is not None, "gevent users stay on one machine: --users does not go with --master")
    changes = parsed(settings or ())
    overrides = {**changes.scenario, **({} if rate is None else {"rate_rps": rate})}

    def changed(more: Mapping[str, Any]) -> Scenario:
        return load_scenario(scenario, quick=quick, overrides={**overrides, **more})

    def folder(plan: Scenario, one: Target) -> Path:
        if out is None:
            return new_folder(plan.name, one.name)
        return out if headless else new_folder(plan.name, one.name, within=out)

    plan = changed({})
    chosen = chosen_targets(plan, target or (), payloads, changes.target)
    _refuse(not chosen, f"the scenario {plan.name} has no target to send to")
    token = secrets.token_hex(16)
    client = None if master else ENGINE if users is None else USERS
    with _listening(bind, master_port + 1, wanted=master) as listener:
        offer = Offer(
            fields=fields_of(plan, [one.name for one in chosen], client=client, users=users or _USERS),
            targets={one.name: one for one in chosen},
            scenario=changed,
            folder=folder,
            device=str(device or plan.device or Device.CPU),
            runtime=runtime or "auto",
            command=as_typed(context.obj or sys.argv[1:]),
            token=token,
            listener=listener,
            time_limit_s=time_limit,
        )
        page = Page(
            role=MASTER if master else LOCAL,
            host=bind,
            port=port,
            headless=headless,
            fields=offer.fields,
            master_port=master_port,
            samples_port=0 if listener is None else listener.getsockname()[1],
            token=token,
            expect_workers=expect_workers,
            worker_patience_s=worker_patience,
        )
        return _serve(offer, page)


def _serve(offer: Offer, page: Page) -> int:
    """Runs until Ctrl-C, or one of them where there is no page."""
    from rich.console import Console

    from proofload._locust.form import MASTER
    from proofload._locust.session import conduct
    from proofload.progress import progress_on
    from proofload.resources import ensure_fixtures
    from proofload.verdict.status import exit_code

    results: list[Result] = []
    with _locust(page) as process, progress_on(Console(stderr=True, highlight=False)) as progress:
        for one in offer.targets.values():
            if one.uses("fixtures") and one.model is not None:
                ensure_fixtures(one.model, progress.message)
        url = process.ready()
        if url:
            progress.message(f"Locust's page: {url}   (Ctrl-C ends it)")
        elif page.role == MASTER:
            where, patience = f"{page.host}:{page.master_port}", f"{page.worker_patience_s:g} s"
            progress.message(f"waiting for workers on {where}, {page.expect_workers} in all, {patience} at most")
        try:
            for ended in conduct(offer, process, progress, once=page.headless):
                results.append(ended.result)
                _leave(ended)
        except KeyboardInterrupt:
            if page.headless or process.busy:
                raise
    return exit_code(result.status for result in results) if results else EXIT_PASS


def _leave(ended: Ended) -> None:
    from rich.console import Console

    from proofload.report.terminal import closing_table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 140
    console.print(closing_table([ended.result]))
    console.print(f"\nreport: {ended.folder / 'report.html'}", soft_wrap=True, markup=False)


def _work(host: str, port: int, cores: Sequence[int | None]) -> int:
    """Until Ctrl-C, or until the master is gone."""
    from proofload._locust.form import WORKER, Page
    from proofload._locust.worker import work

    with _locust(Page(role=WORKER, master_host=host, master_port=port, engines=len(cores))) as process:
        say(f"waiting for the master at {host}:{port}")
        process.ready()
        say("joined; Ctrl-C ends it")
        work(process, host, cores, say)
    return EXIT_PASS


@contextmanager
def _locust(page: Page) -> Iterator[LocustProcess]:
    from proofload._locust.locust_process import locust_process

    with (
        tempfile.TemporaryDirectory(prefix="proofload-locust-") as place,
        locust_process(page, Path(place) / "locust.log") as process,
    ):
        yield process


@contextmanager
def _listening(address: str, port: int, *, wanted: bool) -> Iterator[socket.socket | None]:
    if not wanted:
        yield None
        return
    try:
        listener = socket.create_server((address, port))
    except OSError as exc:
        raise InputError(
            f"workers' samples cannot be taken in on {address}:{port}",
            evidence=str(exc),
            cause="another master runs here, or the address is none of this host's",
            remedy="name another --master-port, or --bind",
        ) from exc
    with listener:
        yield listener


def _refuse(what: bool, why: str) -> None:  # noqa: FBT001
    if what:
        raise InputError(why, remedy="`proofload locust --help` shows what goes together")
