"""What every driver must do. For the authors of one: run each claim against yours.

    @pytest.mark.parametrize("claim", CLAIMS, ids=claim_name)
    def test_it_conforms(claim, tmp_path):
        claim(DriverCase(my_driver.create({...}), tmp_path))

A claim raises AssertionError when it does not hold. Two small HTTP servers stand for the versions. A driver with a
router of its own that does not lead to them gives `answering`, the router's address at which it answers as they do:
POST, with the user in the header X-User-Id, gets {"version": "baseline"} or {"version": "canary"}.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from proofload import _process_trees as trees
from proofload.drivers import Driver, Route, Stage, Traffic
from proofload.engine.routing import Routing
from proofload.target_model import Target
from proofload.watchdog import Watchdog

USER_HEADER = "X-User-Id"
ARMS = ("baseline", "canary")
_USERS = [f"user-{number}" for number in range(200)]
_SOME = 0.3
_FAR = 0.12
"""Nearly four standard deviations of a share of 0.3 among so many users."""
_MOVES = 20
_BETWEEN = 20
"""Requests from one move to the next."""


@dataclass(frozen=True, slots=True)
class DriverCase:
    """A driver and what it is tried on."""

    driver: Driver
    folder: Path
    answering: str = ""


@dataclass(slots=True)
class World:
    """Both versions up, and who gets what share of the traffic inside the load generator."""

    stage: Stage
    shares: dict[int, float] = field(default_factory=lambda: {0: 1.0})
    answering: str = ""

    def asked(self, route: Route, user: str, client: httpx.Client) -> str:
        """Which version answers this user, by its own word; the router's header must say the same."""
        if route.target is None:
            routing = Routing([user], self.stage.salt, frozenset(), seed=0)
            routing.share(self.shares)
            return ARMS[routing.arm(0)]
        header = route.target.request.user_header or USER_HEADER
        answer = client.post(self.answering or route.target.url, json={}, headers={header: user})
        assert answer.status_code == 200, f"the router answered {answer.status_code}: {answer.text[:200]}"
        version = str(answer.json()["version"])
        if route.arm_header:
            assert answer.headers.get(route.arm_header) == version, "the router's header names another arm"
        return version

    def everybody(self, route: Route, users: Sequence[str] = _USERS) -> dict[str, str]:
        with httpx.Client(trust_env=False, timeout=10.0) as client:
            return {user: self.asked(route, user, client) for user in users}


def at_first_all_of_it_is_on_the_baseline(case: DriverCase) -> None:
    with _world(case) as world, case.driver.open(world.stage) as traffic:
        assert set(world.everybody(traffic.route).values()) == {"baseline"}


def a_move_is_over_when_it_returns(case: DriverCase) -> None:
    with _world(case) as world, case.driver.open(world.stage) as traffic:
        for share, arm in ((1.0, "canary"), (0.0, "baseline"), (1.0, "canary")):
            traffic.move(share)
            assert set(world.everybody(traffic.route, _USERS[:20]).values()) == {arm}


def a_share_is_about_what_was_asked(case: DriverCase) -> None:
    with _world(case) as world, case.driver.open(world.stage) as traffic:
        traffic.move(_SOME)
        seen = list(world.everybody(traffic.route).values()).count("canary") / len(_USERS)
        assert abs(seen - _SOME) < _FAR, f"the canary has {seen:.0%} of the users, not {_SOME:.0%}"


def a_user_stays_where_he_is(case: DriverCase) -> None:
    with _world(case) as world, case.driver.open(world.stage) as traffic:
        traffic.move(_SOME)
        assert world.everybody(traffic.route) == world.everybody(traffic.route)


def a_canary_that_grows_keeps_its_users(case: DriverCase) -> None:
    with _world(case) as world, case.driver.open(world.stage) as traffic:
        traffic.move(_SOME)
        before = world.everybody(traffic.route)
        traffic.move(2 * _SOME)
        after = world.everybody(traffic.route)
        assert all(after[user] == "canary" for user, arm in before.items() if arm == "canary")


def no_request_is_lost_by_a_move(case: DriverCase) -> None:
    with _world(case) as world, case.driver.open(world.stage) as traffic:
        with _asking(world, traffic) as told:
            for number in range(_MOVES):
                traffic.move((number % 5) / 4)
                _let_them_ask(told, told["asked"] + _BETWEEN)
        assert told["asked"] >= _MOVES * _BETWEEN
        assert not told["failed"], f"of {told['asked']} requests: {told['failed'][:3]}"


def afterwards_nobody_is_on_the_canary(case: DriverCase) -> None:
    with _world(case) as world:
        with case.driver.open(world.stage) as traffic:
            traffic.move(1.0)
            route = traffic.route
        assert not _anybody_on_the_canary(world, route)


def after_an_error_neither(case: DriverCase) -> None:
    with _world(case) as world:
        with suppress(ZeroDivisionError), case.driver.open(world.stage) as traffic:
            traffic.move(1.0)
            route = traffic.route
            raise ZeroDivisionError
        assert not _anybody_on_the_canary(world, route)


def nothing_it_started_outlives_the_block(case: DriverCase) -> None:
    with _world(case) as world:
        with case.driver.open(world.stage) as traffic:
            traffic.move(_SOME)
        assert not trees.belonging([], world.stage.watchdog.token), "a process with the lab's marker is left"


CLAIMS: tuple[Callable[[DriverCase], None], ...] = (
    at_first_all_of_it_is_on_the_baseline,
    a_move_is_over_when_it_returns,
    a_share_is_about_what_was_asked,
    a_user_stays_where_he_is,
    a_canary_that_grows_keeps_its_users,
    no_request_is_lost_by_a_move,
    afterwards_nobody_is_on_the_canary,
    after_an_error_neither,
    nothing_it_started_outlives_the_block,
)


def claim_name(claim: Callable[[DriverCase], None]) -> str:
    return claim.__name__


@contextmanager
def versions() -> Iterator[tuple[str, str]]:
    """Addresses of a baseline and a canary, up as long as the block lasts."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _saying(arm)) for arm in ARMS]
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    try:
        baseline, canary = (int(server.server_address[1]) for server in servers)
        yield f"http://127.0.0.1:{baseline}/baseline", f"http://127.0.0.1:{canary}/canary"
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A server that runs already, for a stage. See `proofload.runtimes.Server`."""

    target: Target
    pids: Sequence[int] = ()
    timeline: Mapping[str, int] = field(default_factory=dict)
    cpus: Sequence[int] = ()
    container_id: str = ""

    def check_alive(self) -> None: ...

    def facts(self) -> Mapping[str, Any]:
        return {"runtime": "external"}


@contextmanager
def _world(case: DriverCase) -> Iterator[World]:
    folder = case.folder / "driver"
    folder.mkdir(parents=True, exist_ok=True)
    with versions() as urls, Watchdog() as watchdog:
        baseline, canary = (FoundServer(_target(arm, url)) for arm, url in zip(ARMS, urls, strict=True))
        given = {0: 1.0}

        def split(shares: Mapping[int, float]) -> None:
            given.clear()
            given.update(shares)

        yield World(Stage(baseline, canary, split, folder, watchdog, salt="kit"), given, case.answering)


def _target(name: str, url: str) -> Target:
    return Target.model_validate(
        {"name": name, "transport": "http", "url": url, "request": {"user_header": USER_HEADER}}
    )


def _anybody_on_the_canary(world: World, route: Route) -> bool:
    try:
        return "canary" in world.everybody(route, _USERS[:50]).values()
    except httpx.TransportError:
        return False  # the router ended with the rollout: it leads nowhere any more


@contextmanager
def _asking(world: World, traffic: Traffic) -> Iterator[dict[str, Any]]:
    """Requests on kept-alive connections, one after the other on each, while the block lasts."""
    told: dict[str, Any] = {"asked": 0, "failed": []}
    ended = threading.Event()

    def ask(number: int) -> None:
        with httpx.Client(trust_env=False, timeout=10.0) as client:
            while not ended.is_set():
                told["asked"] += 1
                try:
                    world.asked(traffic.route, f"asking-{number}", client)
                except (AssertionError, httpx.HTTPError) as exc:
                    told["failed"].append(repr(exc))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _let_them_ask(told: Mapping[str, Any], count: int) -> None:
    patience = time.monotonic() + 30.0
    while told["asked"] < count and time.monotonic() < patience:
        time.sleep(0.002)


def _saying(arm: str) -> type[BaseHTTPRequestHandler]:
    answer = json.dumps({"prediction": 1, "version": arm}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # head and body in one piece

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(200 if self.path == f"/{arm}" else 404)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    return Handler
