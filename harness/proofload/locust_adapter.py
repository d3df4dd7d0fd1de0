"""The process that Locust runs in: its page and charts, the coming and going of its workers, its gevent users.

`python -m proofload.locust_adapter PAGE CONTROL_FD USERS_FD`, started by the lab (see `proofload._locust`). The only
module that imports Locust, which replaces half of the standard library as it is imported. Nothing is measured or
judged here: the lab is told that a run is wanted, and says what there is to be seen.
"""

from __future__ import annotations

# First of all, because of what it does to the modules that others import.
import locust  # isort: skip

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gevent
import orjson
from flask import Flask, Response, abort, jsonify, request, send_file
from gevent.event import Event as Signal
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.log import setup_logging
from locust.runners import STATE_INIT, STATE_STOPPED, MasterRunner
from locust.stats import StatsEntry, StatsError, stats_history

from locust import LoadTestShape, User, task
from proofload._locust.caller import Caller
from proofload._locust.channel import Channel
from proofload._locust.form import MASTER, USERS, WORKER, Field, Page
from proofload._locust.users import UsersEngine

_STRIP = Path(__file__).with_name("_locust") / "strip.js"
_HERE = ("127.0.0.1", "localhost", "[::1]", "::1")
_CARRIED = ("proofload_port", "proofload_token", "proofload_run")
"""What a master tells its workers, hidden on the page."""


class Slot(User):  # type: ignore[misc]  # Locust ships types that mypy cannot follow
    """One of our engines, as far as Locust can tell: it rests while the engine process sends."""

    host = "-"

    @task  # type: ignore[untyped-decorator]
    def rest(self) -> None:
        gevent.sleep(1.0)


class GeventUser(User):  # type: ignore[misc]
    """Sends, waits for the answer, sends when the next is due: a closed loop."""

    host = "-"
    engine: UsersEngine

    def on_start(self) -> None:
        self.caller: Caller = self.engine.caller()

    def wait_time(self) -> float:
        return self.caller.wait_s()

    @task  # type: ignore[untyped-decorator]
    def ask(self) -> None:
        self.caller.turn()

    def on_stop(self) -> None:
        self.caller.leave()


class Workload(LoadTestShape):  # type: ignore[misc]
    """How many users there are to be now: the lab's workload decides."""

    abstract = False

    def __init__(self, front: Front) -> None:
        super().__init__()
        self._front = front

    def tick(self) -> tuple[int, float] | None:
        return self._front.users_wanted()


class Front:
    """One Locust environment, and what it tells the lab."""

    def __init__(self, page: Page, control: Channel, users: Channel) -> None:
        self._page = page
        self._control = control
        self._users = UsersEngine(users)
        GeventUser.engine = self._users
        self._run = 0
        self._over = True
        self._text = "ready"
        self._runs: list[dict[str, Any]] = []
        self._quitting = Signal()
        sys.argv = ["locust"]  # Locust's page parses the command line again for its form
        setup_logging("INFO")
        locust.events.init_command_line_parser.add_listener(self._add_fields)
        self._options = get_parser(default_config_files=[]).parse_args([])
        self._options.headless = page.headless
        self._environment = Environment(
            user_classes=[Slot],
            events=locust.events,
            shape_class=Workload(self) if page.role != WORKER else None,
            parsed_options=self._options,
            locustfile="proofload",
            stop_timeout=0.0,
        )
        self._environment.events.test_start.add_listener(self._started)
        self._environment.events.test_stopping.add_listener(self._stopping)
        self._runner = self._made_runner()

    def run(self) -> None:
        """Until the lab says that it is enough, or is gone."""
        greenlets = [gevent.spawn(self._listen), gevent.spawn(self._users.serve)]
        if self._page.role == WORKER:
            greenlets.append(gevent.spawn(self._end_with_the_master))
        else:
            greenlets.append(gevent.spawn(stats_history, self._runner))
        url = "" if self._page.headless or self._page.role == WORKER else self._open_page()
        self._control.send({"event": "ready", "url": url})
        if self._page.headless and self._page.role != WORKER:
            greenlets.append(gevent.spawn(self._start_by_itself))
        self._quitting.wait()
        self._over = True
        self._environment.events.quitting.fire(environment=self._environment, reverse=True)
        self._runner.quit()
        gevent.killall(greenlets)

    # What Locust asks and says.

    def users_wanted(self) -> tuple[int, float] | None:
        if self._by_users:
            wanted = self._users.wanted(int(self._options.gevent_users))
            return wanted, float(max(1, wanted))
        slots = self._runner.worker_count * self._page.engines if self._page.role == MASTER else 1
        return max(1, slots), float(max(1, slots))

    @property
    def _by_users(self) -> bool:
        return bool(getattr(self._options, "client", "") == USERS)

    def _started(self, **_: Any) -> None:
        if self._page.role == WORKER:
            carried = {name.removeprefix("proofload_"): getattr(self._options, name) for name in _CARRIED}
            self._control.send({"event": "engage", **carried})
            return
        self._run += 1
        self._options.proofload_run = self._run
        self._over = False
        self._environment.user_classes = [GeventUser if self._by_users else Slot]
        self._environment.stop_timeout = 10.0 if self._by_users else 0.0
        workers = self._runner.worker_count if isinstance(self._runner, MasterRunner) else 0
        settings = {field.name: getattr(self._options, field.name) for field in self._page.fields}
        self._control.send({"event": "start", "run": self._run, "settings": settings, "workers": workers})

    def _stopping(self, **_: Any) -> None:
        if not self._over and self._page.role != WORKER:
            self._control.send({"event": "stop", "run": self._run})

    def _start_by_itself(self) -> None:
        expected = self._page.expect_workers
        if isinstance(self._runner, MasterRunner) and (came := self._workers_that_came(expected)) < expected:
            self._control.send({"event": "alone", "came": came, "expected": expected})
        else:
            self._runner.start_shape()

    def _workers_that_came(self, expected: int) -> int:
        with gevent.Timeout(self._page.worker_patience_s, exception=False):
            while len(self._runner.clients.ready) < expected:
                gevent.sleep(0.1)
        return len(self._runner.clients.ready)

    def _end_with_the_master(self) -> None:
        self._runner.greenlet.join()
        self._quitting.set()

    def _add_fields(self, parser: Any) -> None:
        for field in self._page.fields:
            parser.add_argument(
                f"--{field.name}",
                type=type(field.default),
                default=field.default,
                choices=list(field.choices) or None,
                help=field.hint,
            )
        for name, value in zip(_CARRIED, (self._page.samples_port, self._page.token, 0), strict=True):
            parser.add_argument(f"--{name}", type=type(value), default=value, include_in_web_ui=False)

    def _made_runner(self) -> Any:
        page = self._page
        if page.role == MASTER:
            return self._environment.create_master_runner(page.host, page.master_port)
        if page.role == WORKER:
            return self._environment.create_worker_runner(page.master_host, page.master_port)
        return self._environment.create_local_runner()

    # What the lab says.

    def _listen(self) -> None:
        while (said := self._control.receive()) is not None and said.message["do"] != "quit":
            message = said.message
            match message["do"]:
                case "chart":
                    self._add_to_charts(message)
                case "doing":
                    self._text = message["text"]
                case "finished":
                    self._finish(message)
        self._quitting.set()

    def _finish(self, message: Mapping[str, Any]) -> None:
        self._over = True
        self._runs.append({key: message[key] for key in ("run", "target", "status", "report", "text")})
        self._text = "ready"
        if self._runner.state not in (STATE_INIT, STATE_STOPPED):
            gevent.spawn(self._runner.stop)

    def _add_to_charts(self, message: Mapping[str, Any]) -> None:
        stats, counts = self._environment.stats, dict(message["counts"])
        failures = counts.pop("failures")
        for name in ("response_times", "num_reqs_per_sec", "num_fail_per_sec"):
            counts[name] = dict(counts[name])
        method = message["transport"]
        own = stats.get(counts["name"], method)
        own.extend(StatsEntry.unserialize({**counts, "method": method}, stats))
        stats.total.extend(StatsEntry.unserialize({**counts, "method": method}, stats))
        for what, count in failures.items():
            key = StatsError.create_key(method, counts["name"], what)
            stats.errors.setdefault(key, StatsError(method, counts["name"], what)).occurrences += count

    # The page.

    def _open_page(self) -> str:
        page = self._page
        web = self._environment.create_web_ui(page.host, page.port, delayed_start=True)
        _add_routes(web.app, self._told, self._report, here_only=page.host in _HERE)
        web.start()
        while web.server is None or not web.server.started:
            if web.greenlet.dead:
                raise SystemExit(f"the page cannot be served on {page.host}:{page.port}: {web.greenlet.exception}")
            gevent.sleep(0.01)
        return f"http://{page.host}:{web.server.server_port}"

    def _told(self) -> dict[str, Any]:
        runs = [{**run, "report": bool(run["report"])} for run in self._runs[-20:]]
        workers = f"{self._runner.worker_count} workers, " if self._page.role == MASTER else ""
        return {"text": workers + self._text, "runs": runs}

    def _report(self, number: int) -> Path | None:
        return next((Path(run["report"]) for run in self._runs if run["run"] == number and run["report"]), None)


def _add_routes(app: Flask, told: Any, report: Any, *, here_only: bool) -> None:
    """What the page shows of ours: a strip at its foot, and the reports.

    `here_only`: it is served on this host's own address, so no other name may lead to it.
    """
    app.after_request_funcs.clear()  # Locust lets any web site read and start tests; nobody needs that here

    @app.before_request
    def only_from_here() -> None:
        origin, name = request.headers.get("Origin"), request.host.rpartition(":")[0] or request.host
        if here_only and name not in _HERE:
            abort(403, "this page is not to be reached by that name")
        if origin is not None and origin != f"{request.scheme}://{request.host}":
            abort(403, "this page takes orders from itself alone")

    @app.after_request
    def with_strip(response: Response) -> Response:
        if request.path == "/" and response.mimetype == "text/html":
            page = response.get_data(as_text=True)
            response.set_data(page.replace("</body>", '<script src="./proofload/strip.js"></script></body>'))
        return response

    @app.get("/proofload/strip.js")
    def strip() -> Response:
        return send_file(_STRIP, mimetype="text/javascript", max_age=0)

    @app.get("/proofload/state")
    def state() -> Response:
        return jsonify(told())

    @app.get("/proofload/runs/<int:number>/report.html")
    def shown(number: int) -> Response:
        path = report(number)
        if path is None or not path.is_file():
            abort(404, "there is no report of that run (yet)")
        return send_file(path, mimetype="text/html", max_age=0)


def main(arguments: Sequence[str]) -> None:
    """See the module's text."""
    told = orjson.loads(arguments[0])
    page = Page(**{**told, "fields": [Field(**field) for field in told["fields"]]})
    control, users = (Channel(socket.socket(fileno=int(number))) for number in arguments[1:3])
    Front(page, control, users).run()
    sys.stderr.flush()
    os._exit(0)  # what still waits, waits for nothing that matters: the lab has all there is


if __name__ == "__main__":
    main(sys.argv[1:])
