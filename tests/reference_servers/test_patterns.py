"""Patterns that are switched by a flag: inference where the request is taken, a model that is fetched at the start."""

from __future__ import annotations

import hashlib
import threading
import tomllib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from proofload.targets import load_target
from proofload_servers.serving import Answer, NotReady, Service, Settings, StartupError, arguments
from proofload_servers.serving.batcher import Result

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = sorted((ROOT / "targets" / "patterns").glob("*.target.toml"))
REQUEST = {"values": [1, 2, 3, 4]}


def served(**settings: Any) -> Service:
    service = Service.start(Settings(**settings))
    service.wait_ready(30)
    return service


# Inference where the request is taken.


def test_inline_the_answer_is_there_when_the_call_returns_and_was_made_on_its_thread(tiny_model: Path) -> None:
    service = served(model=str(tiny_model), inference="inline")
    seen: list[tuple[Result, str]] = []
    service.submit_to(
        REQUEST,
        lambda result: seen.append((result, threading.current_thread().name)),
        deadline_ns=None,
        request_id="r",
    )
    ((answer, thread),) = seen
    assert isinstance(answer, Answer)
    assert answer.prediction == 4321.0
    assert thread == threading.current_thread().name
    futures = service.submit_many([REQUEST] * 3, deadline_ns=None, request_id="b")
    assert [future.done() for future in futures] == [True] * 3
    assert service.in_flight == 0
    assert service.info()["inference"] == "inline"
    assert service.drain(5)
    with pytest.raises(NotReady):
        service.submit(REQUEST, deadline_ns=None, request_id="late")


def test_offloaded_it_is_made_on_the_batching_thread(tiny_model: Path) -> None:
    service = served(model=str(tiny_model))
    made_on: list[str] = []
    done = threading.Event()

    def note(_result: Result) -> None:
        made_on.append(threading.current_thread().name)
        done.set()

    service.submit_to(REQUEST, note, deadline_ns=None, request_id="r")
    assert done.wait(30)
    assert made_on == ["batcher"]
    service.drain(5)


# A model that is fetched.


class Store(ThreadingHTTPServer):
    """A folder over HTTP; what was asked for is in `asked`."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        store = self

        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                store.asked.append(self.path)

        super().__init__(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


@pytest.fixture
def store(tiny_model: Path) -> Iterator[Store]:
    server = Store(tiny_model.parent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_may_be_fetched_and_answers_alike(store: Store, tiny_model: Path) -> None:
    card = hashlib.sha256((tiny_model / "model.json").read_bytes()).hexdigest()
    service = served(model=f"{store.url('tiny')}#sha256={card}")
    assert service.submit(REQUEST, deadline_ns=None, request_id="r").result(30).prediction == 4321.0
    assert service.info()["name"] == "tiny"
    assert store.asked == ["/tiny/model.json", "/tiny/model.onnx"]
    service.drain(5)


def test_what_is_not_what_it_was_to_be_is_not_served(store: Store, tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(StartupError, match="not what was asked for"):
        Service.start(Settings(model=f"{store.url('tiny')}#sha256={'0' * 64}"))
    with pytest.raises(StartupError, match="cannot be fetched"):
        Service.start(Settings(model=store.url("nothing")))
    changed = tiny_model.parent / "changed"
    changed.mkdir()
    (changed / "model.json").write_bytes((tiny_model / "model.json").read_bytes())
    (changed / "model.onnx").write_bytes(b"another model")
    service = Service.start(Settings(model=store.url("changed")))
    with pytest.raises(StartupError, match="not what was asked for"):
        service.wait_ready(30)
    (changed / "model.json").write_text(
        (tiny_model / "model.json").read_text().replace('"files": {"model.onnx"', '"files": {"../x": "0", "model.onnx"')
    )
    service = Service.start(Settings(model=store.url("changed") + "/"))
    with pytest.raises(StartupError, match="no plain file name"):
        service.wait_ready(30)


def test_over_plain_http_from_another_machine_it_must_be_pinned() -> None:
    with pytest.raises(StartupError, match="sha256=HEX"):
        Service.start(Settings(model="http://user:secret@models.example.org/scorer"))


# The target files.


@pytest.mark.parametrize("path", PATTERNS, ids=lambda path: path.name.partition(".")[0])
def test_a_pattern_is_the_fastapi_server_told_otherwise_and_nothing_else(path: Path) -> None:
    target = load_target(str(path))
    assert target.description
    assert target.name == path.name.partition(".")[0]
    assert target.start is not None
    module, *flags = target.start.command[2:]
    assert module == "proofload_servers.fastapi_app"
    arguments("fastapi_app", "").parse_args([flag.replace("{port}", "0").replace("{device}", "cpu") for flag in flags])
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    plain = tomllib.loads(
        (ROOT / "reference_servers/proofload_servers/fastapi_app/target.toml").read_text(encoding="utf-8")
    )
    own = {"name", "description", "model", "start", "container"}
    assert {key: value for key, value in tables.items() if key not in own} == {
        key: value for key, value in plain.items() if key not in own
    }
