"""What the Locust front door is made of, without Locust, a server or a wait."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proofload._locust.channel import MAX_BESIDE_BYTES, Channel, Said
from proofload._locust.charts import charted, rounded
from proofload._locust.form import ENGINE, USERS, asked_for, fields_of
from proofload._locust.pacing import Swarm
from proofload._locust.remote import INSTANTS, Part, RemoteSource
from proofload.engine.schedule import PhasePlan, share
from proofload.errors import InputError
from proofload.records import SAMPLE_DTYPE, Outcome
from proofload.scenarios import load_scenario
from proofload.store.segments import packed, unpacked

S, MS = 10**9, 10**6


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    one, other = (Channel(end) for end in socket.socketpair())
    yield one, other
    one.close()
    other.close()


def plan(arrival: str = "poisson", *, rate: float = 100.0, seconds: float = 4.0, **shape: Any) -> PhasePlan:
    return PhasePlan(0, "load", arrival, rate, seconds, 7, shape)


# The channel.


@given(
    st.lists(st.tuples(st.dictionaries(st.text(max_size=5), st.integers(-9, 9)), st.binary(max_size=300)), max_size=6)
)
@settings(max_examples=30, deadline=None)
def test_what_is_said_arrives_in_order_and_whole(said: list[tuple[dict[str, int], bytes]]) -> None:
    one, other = (Channel(end) for end in socket.socketpair())
    for message, beside in said:
        one.send(message, beside)
    one.close()
    heard = []
    while (item := other.receive()) is not None:
        heard.append(item)
    other.close()
    assert heard == [Said(message, beside) for message, beside in said]


def test_a_channel_that_hangs_up_gives_first_what_was_said(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    assert other.arrived() == []
    one.send({"a": 1})
    one.send({"b": 2}, b"bytes")
    one.close()
    assert other.arrived() == [Said({"a": 1}), Said({"b": 2}, b"bytes")]
    assert other.arrived() is None


@pytest.mark.parametrize("garbage", [b"\xff" * 64, b"\x02\x00\x00\x00\x00\x00\x00\x00[]", b"GET / HTTP/1.1\r\n\r\n"])
def test_who_speaks_another_language_is_hung_up_on(garbage: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    theirs.sendall(garbage)
    assert channel.arrived() is None
    theirs.sendall(garbage)
    assert channel.receive() is None
    channel.close()
    theirs.close()


def test_what_is_too_large_is_not_sent(ends: tuple[Channel, Channel]) -> None:
    with pytest.raises(ValueError, match="too large"):
        ends[0].send({}, bytes(MAX_BESIDE_BYTES + 1))


def test_samples_are_packed_into_less_and_come_out_the_same() -> None:
    rows = measured(plan(rate=2000.0), worker=0, workers=1, start_ns=5 * S)
    segment = packed(rows)
    assert len(segment) < rows.nbytes / 2
    again = unpacked(segment, most_rows=len(rows))
    assert again.tobytes() == rows.tobytes()
    with pytest.raises(ValueError, match="a segment of"):
        unpacked(segment, most_rows=len(rows) - 1)
    with pytest.raises(ValueError, match="no segment"):
        unpacked(segment[:-9], most_rows=len(rows))


# An engine elsewhere.


def measured(phase: PhasePlan, *, worker: int, workers: int, start_ns: int) -> np.ndarray[Any, Any]:
    """What a worker would ship: each request answered after some 3 ms, one never."""
    blocks = list(share(phase, payloads=20, worker=worker, workers=workers))
    rows = np.zeros(sum(map(len, blocks)), SAMPLE_DTYPE)
    rng = np.random.default_rng(worker)
    rows["seq"] = np.concatenate([block.seq for block in blocks])
    rows["payload"] = np.concatenate([block.payload for block in blocks])
    rows["intended_ns"] = np.concatenate([block.due_ns for block in blocks]) + start_ns
    rows["worker"] = worker
    rows["dispatched_ns"] = rows["intended_ns"] + rng.integers(10_000, 90_000, len(rows))
    rows["sent_ns"] = rows["dispatched_ns"] + 5_000
    rows["done_ns"] = rows["sent_ns"] + rng.integers(2 * MS, 4 * MS, len(rows))
    rows["status"], rows["attempts"], rows["score"], rows["outcome"] = 200, 1, 0.5, Outcome.OK
    rows[3] = (*rows[3].tolist()[:3], 0, 0, *rows[3].tolist()[5:])
    return rows


def test_durations_of_another_clock_are_kept_and_its_beginning_is_put_where_ours_was(
    ends: tuple[Channel, Channel],
) -> None:
    ours, theirs = ends
    source = RemoteSource(1, ours, who="worker 1", part=Part(1, 1, 2, 20), same_clock=False)
    source.order({"do": "phases", "phases": [asdict(plan())], "start_ns": 1000 * S})
    said = theirs.receive()
    assert said is not None
    assert said.message["start_ns"] is None, "an instant of our clock means nothing there"
    rows = measured(plan(), worker=1, workers=2, start_ns=77 * S)
    theirs.send({"event": "begun", "start_ns": 77 * S})
    theirs.send({"event": "name", "t_ns": 1, "of": "error", "number": 1, "text": "reset"})
    theirs.send({"event": "samples"}, packed(rows))
    theirs.send({"event": "health", "worker": 1, "t_ns": 78 * S})
    theirs.send({"event": "failed", "type": "InputError", "what": "no", "evidence": "", "cause": "", "remedy": ""})
    heard: list[dict[str, Any]] = []
    while len(heard) < 2:
        heard += source.hear() or []
    taken = source.drain()
    assert source.names() == [("error", "reset")]
    assert heard[0] == {"event": "health", "worker": 1, "t_ns": 1001 * S}
    assert heard[1]["what"] == "worker 1: no"
    for name in INSTANTS:
        happened = rows[name] > 0
        assert np.array_equal(taken[name] > 0, happened), "what never happened still did not"
        assert np.array_equal(taken[name][happened] - rows[name][happened], np.full(happened.sum(), 923 * S))
    for name in set(SAMPLE_DTYPE.names or ()) - set(INSTANTS):
        assert np.array_equal(taken[name], rows[name]), name


@given(known=st.integers(0, 200), cut_s=st.floats(0.0, 5.0))
@settings(max_examples=25, deadline=None)
def test_what_a_lost_engine_owed_completes_its_share_of_the_plan(known: int, cut_s: float) -> None:
    """Two of three engine processes are a worker's, and it vanishes at any moment: no request twice, none missing."""
    ours, theirs = (Channel(end) for end in socket.socketpair())
    source = RemoteSource(0, ours, who="worker 0", part=Part(0, 2, 3, 20), same_clock=True)
    source.order({"do": "phases", "phases": [asdict(plan())], "start_ns": 9 * S})
    told = [measured(plan(), worker=number, workers=3, start_ns=9 * S)[:known] for number in (0, 1)]
    last_ns = max((int(rows["intended_ns"].max()) for rows in told if len(rows)), default=0)
    cut_ns = max(round((9 + cut_s) * S), last_ns)
    theirs.send({"event": "samples"}, packed(np.concatenate(told)))
    theirs.close()
    while source.hear() is not None:
        pass
    planned = source.write_off(cut_ns)
    rows = source.drain()
    ours.close()
    whole = np.concatenate([measured(plan(), worker=number, workers=3, start_ns=9 * S) for number in (0, 1)])
    due = whole[whole["intended_ns"] <= cut_ns]
    assert planned == {"0": len(due)}
    assert sorted(rows["seq"]) == sorted(due["seq"])
    unsent = rows[rows["outcome"] == Outcome.UNSENT]
    assert len(unsent) == len(due) - len(told[0]) - len(told[1])
    assert not np.any(unsent["dispatched_ns"])
    order = np.argsort(unsent["seq"])
    assert np.array_equal(
        unsent["payload"][order],
        due["payload"][np.isin(due["seq"], unsent["seq"])][np.argsort(due["seq"][np.isin(due["seq"], unsent["seq"])])],
    )


# The charts.


def test_charts_round_as_locust_does_and_lose_nothing() -> None:
    assert rounded(np.array([0.4, 99.4, 147.0, 3432.0, 58760.0])).tolist() == [0, 99, 150, 3400, 59000]
    rows = measured(plan(), worker=0, workers=1, start_ns=5 * S)
    rows["outcome"][:2] = Outcome.SHED
    counts = charted(rows, name="t", wall_offset_ns=10 * S)
    answered = len(rows) - 1
    assert (counts["num_requests"], counts["num_none_requests"], counts["num_failures"]) == (len(rows), 1, 2)
    assert sum(count for _, count in counts["response_times"]) == answered
    assert sum(count for _, count in counts["num_reqs_per_sec"]) == len(rows)
    assert {second for second, _ in counts["num_reqs_per_sec"]} <= {15, 16, 17, 18, 19}
    assert counts["failures"] == {"shed": 2}


# Users.


def test_users_together_ask_for_the_workloads_rate_and_fewer_of_them_for_less() -> None:
    """Over 400 s of 100/s, five standard deviations of a Poisson count are 2.5 %."""
    for arrival, tolerance in (("poisson", 0.025), ("constant", 0.002)):
        swarm = Swarm.of([asdict(plan(arrival, seconds=400.0))], 0, users=20)
        due = np.concatenate([list(until(swarm.due_times(user, 0), 400 * S)) for user in range(20)])
        assert len(due) == pytest.approx(40_000, rel=tolerance)
        assert swarm.users_at(5 * S) == 20
    steps = Swarm.of([asdict(plan("step", rate=1.0, seconds=4.0, steps=[[10, 2], [40, 2]]))], S, users=20)
    assert [steps.users_at(second * S) for second in (0, 1, 2, 3, 4, 9)] == [5, 5, 5, 20, 20, 1]
    assert steps.phase_at(2 * S) == 0


def until(instants: Iterator[int], end_ns: int) -> Iterator[int]:
    for instant in instants:
        if instant >= end_ns:
            return
        yield instant


# The form.


def test_the_form_offers_what_the_scenario_reads_and_takes_nothing_else() -> None:
    scenario = load_scenario("load")
    fields = fields_of(scenario, ["a", "b"], client=ENGINE, users=50)
    assert [field.name for field in fields][:3] == ["target", "client", "gevent_users"]
    assert {"arrival", "rate_rps", "duration_s"} <= {field.name for field in fields}
    asked = asked_for({"target": "b", "client": USERS, "gevent_users": 7, "rate_rps": 5.0}, fields)
    assert (asked.target, asked.by_users, asked.users, asked.overrides["rate_rps"]) == ("b", True, 7, 5.0)
    assert not asked_for({}, fields).by_users
    with pytest.raises(InputError, match="target = 'c' is not offered"):
        asked_for({"target": "c"}, fields)
    with pytest.raises(InputError, match="0 gevent users"):
        asked_for({"gevent_users": 0}, fields)
    assert "client" not in [field.name for field in fields_of(scenario, ["a"], client=None, users=1)]


# What is loaded where.


def test_the_lab_and_its_workers_leave_locust_to_its_own_process() -> None:
    program = "import sys, proofload, proofload.cli.app, proofload.cli.locust, proofload._locust.session; "
    program += "import proofload._locust.worker, proofload._locust.users; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"locust", "gevent", "geventhttpclient", "zmq"}
