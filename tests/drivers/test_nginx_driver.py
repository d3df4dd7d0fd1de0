"""nginx as a router: nothing is lost while shares move under load; headers force; what it cannot route is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from proofload.drivers import Stage, Traffic, nginx
from proofload.drivers._nginx_configuration import Plan, configuration
from proofload.drivers._nginx_shares import BUCKETS, Shares, buckets_of
from proofload.engine.client import EngineSpec, Stretch, started
from proofload.engine.worker import ArmSpec
from proofload.errors import DriverError, InputError
from proofload.records import Outcome
from proofload.store.folder import RunFolder, claim
from proofload.store.record import RunRecord
from proofload.target_model import Target
from proofload.testing.driver_kit import FoundServer, versions
from proofload.watchdog import Watchdog

MOVES = 20
USERS = 500


@contextmanager
def routed(
    folder: Path, settings: dict[str, str] | None = None, forcing: tuple[str, str] = ("", "")
) -> Iterator[Traffic]:
    with versions() as (baseline, canary), Watchdog() as watchdog:
        arms = server(baseline), server(canary)
        stage = Stage(*arms, lambda shares: None, folder / "driver", watchdog, salt="s", forcing_header=forcing)
        stage.folder.mkdir()
        with nginx.create(settings or {}).open(stage) as traffic:
            yield traffic


def server(url: str, transport: str = "http") -> FoundServer:
    return FoundServer(Target.model_validate({"name": "v", "transport": transport, "url": url}))


def url_of(traffic: Traffic) -> str:
    assert traffic.route.target is not None
    return traffic.route.target.url


@pytest.mark.real
def test_twenty_moves_under_load_lose_no_request(tmp_path: Path, required_program: Callable[..., str]) -> None:
    required_program("nginx", "/usr/sbin/nginx")
    payloads = tmp_path / "payloads.jsonl"
    payloads.write_text("".join(json.dumps({"body": {}, "expect": 1, "user": f"u{n}"}) + "\n" for n in range(USERS)))
    run = RunFolder(claim(tmp_path / "run"), {})
    with (
        routed(tmp_path) as traffic,
        started(EngineSpec(str(payloads), [None], peak_rps=400), run, os.environ) as engine,
    ):
        response = {"version": "$.version", "arm_header": traffic.route.arm_header}
        engine.open(
            0, ArmSpec("http", url_of(traffic), request={"user_header": "X-User-Id"}, response=response, connections=64)
        )
        with engine.running([Stretch("moves", 300, 5.0, arrival="poisson")], lambda *_: None) as load:
            for number in range(MOVES):
                load.wait(0.2)
                traffic.move((number % 5) / 4)
    run.close()
    record = RunRecord(tmp_path / "run")
    table = record.samples().table
    [phase] = record.phases
    assert np.array_equal(np.sort(table["seq"]), np.arange(phase.planned))
    assert phase.planned > 1000
    assert (table["outcome"] == Outcome.OK).all()
    arms = {number: text for (kind, number), text in record.names.items() if kind == "version"}
    assert {arms[int(number)] for number in np.unique(table["version"][table["arm"] == 1])} == {"canary"}
    assert {arms[int(number)] for number in np.unique(table["version"][table["arm"] == 0])} == {"baseline"}


@pytest.mark.real
@pytest.mark.parametrize(
    ("settings", "of_the_scenario"),
    [({"force_header": "X-Try", "force_value": "new"}, ("X-Other", "1")), ({}, ("X-Try", "new"))],
)
def test_a_header_forces_the_canary(
    tmp_path: Path, required_program: Callable[..., str], settings: dict[str, str], of_the_scenario: tuple[str, str]
) -> None:
    required_program("nginx", "/usr/sbin/nginx")
    with routed(tmp_path, settings, of_the_scenario) as traffic:
        for value, arm in (("new", "canary"), ("old", "baseline")):
            answer = httpx.post(url_of(traffic), headers={"X-Try": value}, trust_env=False)
            assert answer.json()["version"] == answer.headers["X-Proofload-Arm"] == arm


@pytest.mark.real
def test_an_answer_of_nginx_itself_is_the_arm_s(tmp_path: Path, required_program: Callable[..., str]) -> None:
    required_program("nginx", "/usr/sbin/nginx")
    with Watchdog() as watchdog, versions() as (baseline, _):
        stage = Stage(server(baseline), server("http://127.0.0.1:9/x"), lambda shares: None, tmp_path, watchdog, "s")
        with nginx.create({}).open(stage) as traffic:
            traffic.move(1.0)
            answer = httpx.post(url_of(traffic), trust_env=False)
            assert (answer.status_code, answer.headers["X-Proofload-Arm"]) == (502, "canary")


def test_only_http_is_routed(tmp_path: Path) -> None:
    with Watchdog() as watchdog:
        grpc = server("grpc://127.0.0.1:9", transport="grpc")
        stage = Stage(grpc, grpc, lambda shares: None, tmp_path, watchdog, salt="s")
        with pytest.raises(InputError, match="its transport is grpc"), nginx.create({}).open(stage):
            pass


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(InputError, match=r"driver\.user_heder"):
        nginx.create({"user_heder": "X"})


@pytest.mark.parametrize(
    "changes",
    [
        {"user_header": 'X"; evil'},
        {"force_value": 'a"; return 200 "'},
        {"baseline_url": 'http://h/a";}'},
        {"canary_url": "http://u:p@h/"},
        {"canary_url": "kafka://h/t"},
    ],
)
def test_nothing_slips_into_the_configuration(tmp_path: Path, changes: dict[str, str]) -> None:
    plain = {
        "baseline_url": "http://h:1/a?b=c",
        "canary_url": "https://h/d",
        "user_header": "X-U",
        "force_header": "X-F",
        "force_value": "canary",
        "salt": 'any"thing',
    }
    assert "proxy_pass" in configuration(Plan(folder=tmp_path, port=1, **plain))
    with pytest.raises(InputError):
        configuration(Plan(folder=tmp_path, port=1, **{**plain, **changes}))


def test_shares_are_told_to_a_tenth_of_a_percent_and_never_to_none() -> None:
    assert [buckets_of(share) for share in (0.0, 0.0001, 0.05, 0.333, 0.9999, 1.0)] == [0, 1, 50, 333, 999, BUCKETS]
    with pytest.raises(InputError):
        buckets_of(1.5)


def test_a_canary_that_shrinks_gives_buckets_back(tmp_path: Path) -> None:
    shares = Shares(tmp_path / "shares")
    shares.give(0.5)
    shares.give(0.1)
    assert sorted(int(path.name) for path in (tmp_path / "shares").iterdir()) == list(range(100))


def test_without_nginx_it_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("proofload.drivers._nginx_process._ELSEWHERE", ())
    with pytest.raises(Exception, match="nginx-light"), routed(tmp_path):
        pass


@pytest.mark.real
def test_a_dead_nginx_is_an_error_with_its_log(tmp_path: Path, required_program: Callable[..., str]) -> None:
    required_program("nginx", "/usr/sbin/nginx")
    with routed(tmp_path) as traffic:
        assert isinstance(traffic, nginx.NginxTraffic)
        traffic._nginx.end()
        with pytest.raises(DriverError, match="nginx ended"):
            traffic.move(0.5)
