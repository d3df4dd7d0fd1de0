"""Whom the guard admits, how often, and where a server may listen without one."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from proofload_servers.serving import Settings, StartupError
from proofload_servers.serving.metrics import Metrics
from proofload_servers.serving.refusals import Forbidden, TooMany, Unauthenticated
from proofload_servers.serving.security import Caller, Guard, check_exposure, guard_of
from proofload_servers.serving.security.buckets import TokenBuckets
from proofload_servers.serving.security.guard import network_of

KEY = "alice-has-a-long-random-key"
SECRET = "0123456789abcdef0123456789abcdef"


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


# Buckets.


def test_a_bucket_gives_its_burst_and_then_its_rate(clock: Time) -> None:
    buckets = TokenBuckets(2.0, 3.0, 10, clock)
    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert buckets.take("a") == pytest.approx(0.5)
    assert buckets.take("b") == 0.0
    clock.now += 0.5
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0.0


def test_over_any_stretch_no_more_is_given_than_burst_and_rate_allow(clock: Time) -> None:
    """Unlike a counter that forgets at each minute, of which two bursts meet at the turn."""
    buckets = TokenBuckets(10.0, 10.0, 10, clock)
    given = []
    for step in range(2000):
        clock.now = 100.0 + step * 0.013
        if buckets.take("a") == 0.0:
            given.append(clock.now)
    for first in range(0, len(given), 7):
        for last in range(first, len(given), 11):
            assert last - first + 1 <= 10 + 10 * (given[last] - given[first]) + 1e-6


def test_a_batch_is_owed_and_paid_off(clock: Time) -> None:
    buckets = TokenBuckets(1.0, 2.0, 10, clock)
    assert buckets.take("a") == 0.0
    buckets.owe("a", 9)
    assert buckets.take("a") == pytest.approx(9.0)
    clock.now += 9.0
    assert buckets.take("a") == 0.0


def test_however_many_clients_come_memory_is_bounded_and_no_debt_is_forgotten(clock: Time) -> None:
    buckets = TokenBuckets(1.0, 2.0, 100, clock)
    assert [buckets.take("guesser") for _ in range(3)][-1] > 0.0
    refused = sum(buckets.take(f"one of many {number}") > 0.0 for number in range(5000))
    assert len(buckets) <= 101
    assert refused == 5000 - 99 - 2, "beyond the hundred, all share one bucket of two"
    assert buckets.take("guesser") > 0.0
    clock.now += 10.0
    assert buckets.take("a new one, now that the buckets are full again") == 0.0
    assert len(buckets) <= 101


# The guard.


def guard(clock: Time | None = None, **settings: Any) -> Guard:
    made = guard_of(Settings(model="m", **settings), Metrics())
    assert made is not None
    if clock is not None:
        for own in (made._buckets or {}).values():
            own._clock = clock
    return made


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFLOAD_API_KEYS", f"alice:{KEY}")


@pytest.fixture
def tokened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROOFLOAD_JWT_KEY", SECRET)


def token(**claims: Any) -> str:
    return "Bearer " + jwt.encode({"exp": int(time.time()) + 60} | claims, SECRET, algorithm="HS256")


def test_without_being_asked_for_there_is_none() -> None:
    assert guard_of(Settings(model="m"), Metrics()) is None


def test_a_key_is_taken_from_either_header(keyed: None) -> None:
    alice = Caller("key", "alice")
    one = guard(auth="api-key")
    assert one.admit(None, KEY, "::1") == alice
    assert one.admit(f"bearer {KEY}", None, "::1") == alice
    for authorization, key in ((None, None), ("Basic " + KEY, None), (f"Bearer {KEY}", "wrong"), ("Bearer", None)):
        with pytest.raises(Unauthenticated):
            one.admit(authorization, key, "::1")


def test_either_kind_of_credentials_where_both_are_accepted(keyed: None, tokened: None) -> None:
    both = guard(auth="any", jwt_algorithm="HS256", jwt_scope="predict")
    assert both.admit(None, KEY, "") == Caller("key", "alice")
    assert both.admit(token(sub="bob", scope="predict"), None, "").name == "bob"
    with pytest.raises(Forbidden):
        both.admit(token(sub="bob"), None, "")
    assert both.admit(f"Bearer {KEY}", None, "") == Caller("key", "alice")
    expired = token(sub="bob", scope="predict", exp=1)
    for authorization, key in ((f"Bearer {KEY[:-1]}", None), (expired, None), (token(scope="predict"), "wrong")):
        with pytest.raises(Unauthenticated):
            both.admit(authorization, key, "")


def test_each_client_has_a_limit_of_its_own_and_is_told_when_to_come_again(keyed: None, clock: Time) -> None:
    one = guard(clock, auth="api-key", rate_limit_rps=0.5)
    one.admit(None, KEY, "10.0.0.1")
    with pytest.raises(TooMany) as refused:
        one.admit(None, KEY, "10.0.0.2")
    assert refused.value.headers == {"Retry-After": "2"}
    clock.now += 2.0
    one.admit(None, KEY, "10.0.0.1")


def test_who_guesses_is_slowed_down_by_its_address(keyed: None, clock: Time) -> None:
    one = guard(clock, auth="api-key", rate_limit_rps=1.0, rate_limit_burst=5)
    answers = []
    for number in range(8):
        try:
            one.admit(None, f"guess number {number} of a key", "10.0.0.1")
        except (Unauthenticated, TooMany) as refusal:
            answers.append(refusal.status)
    assert answers == [401] * 5 + [429] * 3
    assert one.admit(None, KEY, "10.0.0.1").name == "alice"


def test_however_many_addresses_guess_the_first_request_of_a_key_or_a_token_does_not_wait_for_them(
    keyed: None, tokened: None, clock: Time
) -> None:
    one = guard(clock, auth="any", jwt_algorithm="HS256", rate_limit_rps=1.0, rate_limit_clients=100)
    turned_away = []
    for number in range(200):
        try:
            one.admit(None, None, f"10.0.{number // 100}.{number % 100}")
        except (Unauthenticated, TooMany) as refusal:
            turned_away.append(refusal.status)
    assert turned_away == [401] * 101 + [429] * 99, "a hundred have a bucket each, all others one"
    assert one.admit(None, KEY, "10.0.9.9").name == "alice"
    assert one.admit(token(sub="bob"), None, "10.0.9.9").name == "bob"


def test_without_credentials_a_client_is_its_address_and_of_ipv6_its_network(clock: Time) -> None:
    one = guard(clock, rate_limit_rps=1.0)
    one.admit(None, None, "2001:db8:1:2::1")
    with pytest.raises(TooMany):
        one.admit(None, None, "2001:db8:1:2:ffff::2")
    one.admit(None, None, "2001:db8:1:3::1")
    assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1") == "10.0.0.1"
    assert network_of("") == network_of("not an address") == "unknown"


def test_a_stream_ends_with_its_token(tokened: None) -> None:
    one = guard(auth="jwt", jwt_algorithm="HS256")
    caller = one.admit(token(sub="bob"), None, "")
    one.again(caller)
    with pytest.raises(Unauthenticated):
        one.again(Caller(caller.kind, caller.name, time.time() - 1.0))


def test_metrics_count_refusals_by_their_kind_and_name_nobody(keyed: None) -> None:
    metrics = Metrics()
    one = guard_of(Settings(model="m", auth="api-key"), metrics)
    assert one is not None
    one.admit(None, KEY, "")
    with pytest.raises(Unauthenticated):
        one.admit(None, "wrong", "")
    page = metrics.render().decode()
    assert 'proofload_turned_away_total{reason="unauthenticated"} 1.0' in page
    assert "alice" not in page


# Exposure.


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_on_loopback_nothing_is_asked_for(host: str) -> None:
    check_exposure(Settings(model="m", host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.org", "localhost.example.org"])
def test_elsewhere_a_server_wants_credentials_or_to_be_told_that_it_needs_none(host: str) -> None:
    with pytest.raises(StartupError, match="--allow-unauthenticated"):
        check_exposure(Settings(model="m", host=host))
    check_exposure(Settings(model="m", host=host, auth="api-key"))
    check_exposure(Settings(model="m", host=host, allow_unauthenticated=True))
