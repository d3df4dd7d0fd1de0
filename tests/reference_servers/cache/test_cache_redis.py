"""A real Redis between services: shared, lied to, slow, dying. Whatever it does, every request is answered rightly."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import onnx
import orjson
import pytest
from onnx import numpy_helper
from prometheus_client import CollectorRegistry

from proofload_servers.serving.cache import remote, round_trips
from proofload_servers.serving.cache.counts import CacheCounts
from proofload_servers.serving.cache.remote import RemoteCache
from proofload_servers.serving.cache.round_trips import PREFIX

from .conftest import WAIT_S, BadWay, RedisServer, Served

pytestmark = pytest.mark.real
Serve = Callable[..., Served]
Until = Callable[[Callable[[], bool]], None]
Send = Callable[[bytes], None]


def value_of(*row: float) -> float:
    return row[0] + 10 * row[1] + 100 * row[2] + 1000 * row[3]


def kept(redis: RedisServer) -> list[bytes]:
    keys: Any = redis.client.keys()
    return sorted(keys)


def variant(model: Path, folder: Path, *, version: str, factor: float) -> Path:
    folder.mkdir()
    graph = onnx.load(model / "model.onnx")
    (weights,) = graph.graph.initializer
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * factor, weights.name))
    content = graph.SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    card = json.loads((model / "model.json").read_text())
    card |= {"version": version, "files": {"model.onnx": hashlib.sha256(content).hexdigest()}}
    (folder / "model.json").write_text(json.dumps(card))
    return folder


def test_what_one_service_computed_another_one_finds(redis: RedisServer, served: Serve, until: Until) -> None:
    one, other = served(cache=redis.url), served(cache=redis.url)
    assert one.ask(1, 2, 3, 4).prediction == 4321.0
    until(lambda: bool(kept(redis)))
    answer = other.ask(1.0, 2, 3, 4)
    assert (answer.prediction, answer.compute_ms) == (4321.0, 0.0)
    assert other.counts("hits", "misses", "errors") == (1, 0, 0)


def test_entries_are_json_and_end_with_their_time_to_live(redis: RedisServer, served: Serve, until: Until) -> None:
    served(cache=redis.url, cache_ttl_s=1000.0).ask(1, 2, 3, 4)
    until(lambda: bool(kept(redis)))
    (key,) = kept(redis)
    entry: Any = redis.client.get(key)
    left_ms: Any = redis.client.pttl(key)
    assert key.startswith(PREFIX)
    digest, prediction = orjson.loads(entry)
    assert (len(digest), prediction) == (32, 4321.0)
    assert 0 < left_ms <= 1_000_000


@pytest.mark.parametrize(("version", "factor"), [("8", 1.0), ("7", 2.0), ("8", 2.0)])
def test_a_new_version_never_gets_an_answer_of_the_old_one(
    redis: RedisServer, served: Serve, until: Until, tiny_model: Path, tmp_path: Path, version: str, factor: float
) -> None:
    """Nor do two that call themselves the same and are not."""
    rows = [(float(number), 1.0, 0.0, 0.0) for number in range(20)]
    old = served(cache=redis.url)
    for row in rows:
        assert old.ask(*row).prediction == value_of(*row)
    until(lambda: len(kept(redis)) == len(rows))
    new = served(cache=redis.url, model=str(variant(tiny_model, tmp_path / "new", version=version, factor=factor)))
    for row in rows:
        answer = new.ask(*row)
        assert (answer.prediction, answer.model_version) == (factor * value_of(*row), version)
    assert new.counts("hits", "misses") == (0, len(rows))
    assert old.ask(*rows[3]).prediction == value_of(*rows[3])
    assert old.counts("hits") == (1,)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda entry: b"0.5",
        lambda entry: b"",
        lambda entry: entry[:-3],
        lambda entry: entry.replace(b"4321", b"4322"),
        lambda entry: b"\x80\x04K\x01.",
        lambda entry: b"x" * 5_000_000,
    ],
    ids=["foreign", "empty", "cut", "changed", "pickle", "huge"],
)
def test_a_value_that_is_not_what_was_kept_is_ignored_and_replaced(
    redis: RedisServer, served: Serve, until: Until, spoil: Callable[[bytes], bytes]
) -> None:
    service = served(cache=redis.url)
    service.ask(1, 2, 3, 4)
    until(lambda: bool(kept(redis)))
    (key,) = kept(redis)
    good: Any = redis.client.get(key)
    redis.client.set(key, spoil(good))
    assert service.ask(1, 2, 3, 4).prediction == 4321.0
    assert service.counts("hits", "errors") == (0, 1)
    until(lambda: redis.client.get(key) == good)
    assert service.ask(1, 2, 3, 4).compute_ms == 0.0


def test_the_entry_of_another_request_is_ignored(redis: RedisServer, served: Serve, until: Until) -> None:
    service = served(cache=redis.url)
    service.ask(1, 2, 3, 4)
    until(lambda: len(kept(redis)) == 1)
    (first,) = kept(redis)
    service.ask(4, 3, 2, 1)
    until(lambda: len(kept(redis)) == 2)
    (second,) = set(kept(redis)) - {first}
    entry: Any = redis.client.get(first)
    redis.client.set(second, entry)
    assert service.ask(4, 3, 2, 1).prediction == 1234.0
    assert service.counts("errors") == (1,)


def test_a_key_of_another_type_and_a_full_redis_are_errors_and_no_more(
    redis: RedisServer, served: Serve, until: Until
) -> None:
    service = served(cache=redis.url)
    service.ask(1, 2, 3, 4)
    until(lambda: bool(kept(redis)))
    (key,) = kept(redis)
    redis.client.delete(key)
    redis.client.lpush(key, "a list")
    assert service.ask(1, 2, 3, 4).prediction == 4321.0
    redis.client.config_set("maxmemory", 1)
    try:
        assert service.ask(9, 0, 0, 0).prediction == 9.0
        until(lambda: service.count("errors") >= 1)
    finally:
        redis.client.config_set("maxmemory", 0)
    assert service.counts("up", "opened") == (1, 0)


# A Redis that is not there, or worse.


def test_a_service_starts_and_serves_without_its_redis(served: Serve, free_port: int) -> None:
    service = served(cache=f"redis://127.0.0.1:{free_port}/0")
    assert [service.ask(number, 0, 0, 0).prediction for number in (1, 1, 2)] == [1.0, 1.0, 2.0]
    assert service.counts("up", "hits", "skipped") == (0, 0, 3)


def silent(_send: Send, _asked: bytes) -> None:
    """Takes what it is asked, and says nothing."""


def trickling(send: Send, _asked: bytes) -> None:
    """The right beginning of an answer, then a byte now and then: every read is in time, the whole is not."""
    send(b"*1\r\n$60000\r\n")
    for _ in range(600):
        send(b"x")
        time.sleep(0.02)


def endless(send: Send, _asked: bytes) -> None:
    """Announces a gigabyte and begins to send it."""
    send(b"*1\r\n$1000000000\r\n")
    for _ in range(200):
        send(b"x" * 65_536)
        time.sleep(0.005)


def another_protocol(send: Send, _asked: bytes) -> None:
    send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def too_few(send: Send, _asked: bytes) -> None:
    send(b"*0\r\n")


def no_list(send: Send, _asked: bytes) -> None:
    send(b":7\r\n")


def loading(send: Send, _asked: bytes) -> None:
    send(b"-LOADING Redis is loading the dataset in memory\r\n")


BAD = [silent, trickling, endless, another_protocol, too_few, no_list, loading]


@pytest.mark.parametrize("answer", BAD, ids=lambda answer: str(answer.__name__))
def test_a_redis_that_goes_bad_is_given_up_at_the_first_round_trip(
    bad_way: BadWay, served: Serve, until: Until, answer: Callable[[Send, bytes], None]
) -> None:
    """One request finds out, the others are not held up: only one round trip was an error."""
    service = served(cache=bad_way.url, cache_budget_ms=3000.0)
    assert service.ask(1, 2, 3, 4).prediction == 4321.0
    assert service.counts("up", "errors") == (1, 0)
    bad_way.answer = answer
    assert [service.ask(number, 0, 0, 0).prediction for number in range(30)] == [float(n) for n in range(30)]
    until(lambda: service.count("opened") == 1)  # counted on the cache's thread, after nobody asks it any more
    assert service.counts("up", "opened", "errors", "skipped", "hits") == (0, 1, 1, 30, 0)


@pytest.mark.parametrize("answer", BAD[3:], ids=lambda answer: str(answer.__name__))
def test_what_does_not_answer_a_ping_as_redis_does_is_not_asked_again(
    bad_way: BadWay, served: Serve, until: Until, monkeypatch: pytest.MonkeyPatch, answer: Callable[[Send, bytes], None]
) -> None:
    monkeypatch.setattr(remote, "LONGEST_RETRY_S", 0.05)
    monkeypatch.setattr(remote, "RETRY_S", 0.01)
    service = served(cache=bad_way.url, cache_budget_ms=3000.0)
    monkeypatch.setattr(round_trips, "CONNECT_S", 0.2)
    bad_way.answer = answer
    service.ask(1, 2, 3, 4)
    asked = bad_way.asked
    until(lambda: bad_way.asked >= asked + 4)
    assert service.ask(1, 2, 3, 4).prediction == 4321.0
    assert service.counts("up", "opened", "errors") == (0, 1, 1)


def test_a_redis_that_is_well_again_is_asked_again(
    bad_way: BadWay, served: Serve, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LONGEST_RETRY_S", 0.2)
    service = served(cache=bad_way.url, cache_budget_ms=3000.0)
    service.ask(1, 2, 3, 4)
    bad_way.answer = another_protocol
    service.ask(2, 2, 3, 4)
    assert service.count("up") == 0
    bad_way.answer = None
    until(lambda: service.count("up") == 1)
    until(lambda: service.ask(1, 2, 3, 4).compute_ms == 0.0)
    assert service.count("hits") >= 1


def test_who_has_waited_half_the_budget_for_others_is_let_go(bad_way: BadWay) -> None:
    """By a clock of the test's own: the round trip that is waited for is in time, and long."""
    now_s = [0.0]
    first_asked, second_asked = threading.Event(), threading.Event()
    counts = CacheCounts(CollectorRegistry(), remote=True)
    cache = RemoteCache(bad_way.url, ttl_s=60.0, budget_s=2 * WAIT_S, counts=counts, now_s=lambda: now_s[0])
    first: Future[Any] = Future()
    second: Future[Any] = Future()

    def slowly(send: Send, _asked: bytes) -> None:
        first_asked.set()
        assert second_asked.wait(WAIT_S)
        now_s[0] += 1000.0
        send(b"*1\r\n$-1\r\n")

    bad_way.answer = slowly
    cache.look_up([bytes(32)], first.set_result)
    assert first_asked.wait(WAIT_S)
    cache.look_up([bytes(32)], second.set_result)
    second_asked.set()
    assert first.result(WAIT_S) == [None]
    assert second.result(WAIT_S) is None
    cache.close(WAIT_S)


def test_redis_dies_and_comes_back_under_load_and_no_request_fails(
    redis: RedisServer, served: Serve, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LONGEST_RETRY_S", 0.2)
    service = served(cache=redis.url, max_queue=4096)
    stop = threading.Event()
    answered = [0] * 3
    wrong: list[Any] = []

    def load(place: int) -> None:
        number = place
        while not stop.is_set():
            number = (number + 3) % 50
            try:
                prediction = service.ask(number, 1, 0, 0).prediction
            except Exception as exc:  # noqa: BLE001  what the test is about: there must be none
                wrong.append(exc)
                return
            if prediction != number + 10:
                wrong.append((number, prediction))
            answered[place] += 1

    def more(than: int = 100) -> None:
        goal = [count + than for count in answered]
        until(lambda: bool(wrong) or all(count >= least for count, least in zip(answered, goal, strict=True)))

    threads = [threading.Thread(target=load, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    try:
        more()
        assert service.count("hits") > 0
        redis.kill()
        more()
        until(lambda: service.count("up") == 0)
        skipped = service.count("skipped")
        assert skipped > 0
        redis.start()
        until(lambda: service.count("up") == 1)
        hits = service.count("hits")
        more()
        until(lambda: service.count("hits") > hits)
    finally:
        stop.set()
        for thread in threads:
            thread.join(WAIT_S)
    assert wrong == []
    assert service.count("opened") >= 1


def test_draining_leaves_nobody_waiting_for_redis(bad_way: BadWay, served: Serve) -> None:
    service = served(cache=bad_way.url, cache_budget_ms=4000.0)
    bad_way.answer = silent
    future = service.service.submit({"values": [1, 2, 3, 4]}, deadline_ns=None, request_id="r")
    assert service.service.in_flight == 1
    assert service.service.drain(WAIT_S) is True
    assert future.result(0).prediction == 4321.0
    assert service.service.in_flight == 0


def test_several_instances_are_one_round_trip_and_what_is_known_of_them_is_not_computed(
    redis: RedisServer, served: Serve, until: Until
) -> None:
    service = served(cache=redis.url)
    for number in (1, 3):
        service.ask(number, 0, 0, 0)
    until(lambda: len(kept(redis)) == 2)
    before: Any = redis.client.info("commandstats")["cmdstat_mget"]["calls"]
    bodies = [{"values": [number, 0, 0, 0]} for number in (0, 1, 2, 3, 2)]
    futures = service.service.submit_many(bodies, deadline_ns=None, request_id="r")
    assert [future.result(WAIT_S).prediction for future in futures] == [0.0, 1.0, 2.0, 3.0, 2.0]
    after: Any = redis.client.info("commandstats")["cmdstat_mget"]["calls"]
    assert after - before == 1
    assert service.counts("hits", "misses", "joined") == (2, 4, 1)
