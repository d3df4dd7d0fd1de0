"""Two servers, one load: shares moved under way, headers that force, answers kept whole, an arm replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from proofload.engine.client import EngineSpec, Stretch, started
from proofload.engine.worker import ArmSpec
from proofload.errors import InputError
from proofload.records import Agreement, Outcome
from proofload.store.folder import RunFolder, claim
from proofload.store.record import RunRecord
from proofload.testing.answering import answering

pytestmark = pytest.mark.real
USERS = 200


@contextmanager
def server(version: str, factor: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            n = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["n"]
            answer = {"prediction": factor * n, "version": version, "user": self.headers.get("X-User")}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Arm", "canary" if n % 2 else "baseline")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with answering(Handler) as address:
        yield address


@pytest.fixture
def payloads(tmp_path: Path) -> str:
    path = tmp_path / "payloads.jsonl"
    lines = [
        {"body": {"n": n}, "user": f"u{n}"} | ({"headers": {"X-Canary": "always"}} if n == 7 else {})
        for n in range(USERS)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


def arm(url: str, **response: str) -> ArmSpec:
    return ArmSpec("http", url, request={"user_header": "X-User"}, response={"version": "$.version", **response})


def test_shares_move_under_way_and_no_request_is_lost(tmp_path: Path, payloads: str) -> None:
    folder = RunFolder(claim(tmp_path / "run"), {})
    with server("v1", 2) as old, server("v2", 2) as new:
        spec = EngineSpec(payloads, [None, None], peak_rps=500, salt="s", forcing_header=("x-canary", "always"))
        with started(spec, folder, os.environ) as engine:
            engine.open(0, arm(old))
            engine.open(1, arm(new))
            engine.split({0: 1.0, 1: 0.0})
            with engine.running([Stretch("a", 300, 60.0, capture=True)], lambda *_: None) as load:
                seen = np.concatenate([load.taken().table])
                for share in (0.25, 0.5, 0.0):
                    assert load.wait(0.5)
                    engine.split({0: 1 - share, 1: share})
                    seen = np.concatenate([seen, load.taken().table])
                load.wait(0.3)
                load.cut()
                while load.wait(0.1):
                    pass
                seen = np.concatenate([seen, load.taken().table])
    folder.close()
    record = RunRecord(tmp_path / "run")
    [phase] = record.phases
    table = record.samples().table
    assert phase.planned == len(table) == len(seen), "conserved, and all of it was seen live"
    assert phase.duration_s < 30
    assert set(table["outcome"]) == {Outcome.OK}
    stamps = np.array([record.names["version", int(number)] for number in table["version"]])
    assert np.array_equal(stamps == "v2", table["arm"] == 1)
    assert set(table["arm"][table["payload"] == 7]) == {1}, "the header forces"
    moves = sorted({event.t_ns for event in record.events if event.kind == "split"})
    after = table[table["intended_ns"] > moves[-1]]
    assert set(after["arm"][after["payload"] != 7]) == {0}
    kept = list(record.answers())
    assert len(kept) == len(table)
    assert all(one["answer"]["user"] == f"u{one['payload']}" for one in kept)


def test_a_router_says_who_answered(tmp_path: Path, payloads: str) -> None:
    folder = RunFolder(claim(tmp_path / "run"), {})
    with server("v1", 2) as router, started(EngineSpec(payloads, [None]), folder, os.environ) as engine:
        engine.open(0, arm(router, arm_header="X-Arm"))
        engine.run([Stretch("a", 300, 0.5)], lambda *_: None)
    folder.close()
    table = RunRecord(tmp_path / "run").samples().table
    assert np.array_equal(table["arm"], table["payload"] % 2)


def test_mirrored_answers_of_a_version_that_predicts_otherwise_differ(tmp_path: Path, payloads: str) -> None:
    folder = RunFolder(claim(tmp_path / "run"), {})
    with (
        server("v1", 2) as old,
        server("v2", 3) as new,
        started(EngineSpec(payloads, [None]), folder, os.environ) as engine,
    ):
        engine.open(0, arm(old))
        engine.open(1, arm(new))
        engine.run([Stretch("a", 300, 0.5, mirror=1.0)], lambda *_: None)
        engine.open(1, arm(old))
        engine.run([Stretch("b", 300, 0.5, mirror=1.0)], lambda *_: None)
    folder.close()
    record = RunRecord(tmp_path / "run")
    first, second = (record.samples(number).table for number in (0, 1))
    mirrors = first[first["mirror"] == 1]
    assert len(mirrors) == 150
    zero = mirrors["payload"] == 0
    assert set(mirrors["agrees"][~zero]) == {Agreement.DIFFERENT}
    assert set(second["agrees"][second["mirror"] == 1]) == {Agreement.SAME}


def test_two_arms_must_be_asked_the_same(tmp_path: Path, payloads: str) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"body": {"n": 1}}')
    folder = RunFolder(claim(tmp_path / "run"), {})
    with server("v1", 2) as old, started(EngineSpec(payloads, [None]), folder, os.environ) as engine:
        engine.open(0, arm(old))
        with pytest.raises(InputError, match="does not hold the same requests"):
            engine.open(1, ArmSpec("http", old, payloads=str(other)))
        engine.run([Stretch("a", 100, 0.2)], lambda *_: None)
    folder.close()
    assert set(RunRecord(tmp_path / "run").samples().outcome) == {Outcome.OK}
