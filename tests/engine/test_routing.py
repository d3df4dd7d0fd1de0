"""Who goes to which arm: stable, growing without changing sides, in the asked proportion."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from proofload.engine.routing import Routing, place_of

USERS = [f"user-{number}" for number in range(4000)]


def arms(routing: Routing, count: int) -> list[int]:
    return [routing.arm(payload) for payload in range(count)]


def test_a_user_stands_at_the_same_place_in_every_process() -> None:
    code = "from proofload.engine.routing import place_of; print(repr(place_of('user-7', 'salt')))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert float(told.stdout) == place_of("user-7", "salt")
    assert place_of("user-7", "salt") != place_of("user-7", "pepper")


def test_an_arm_that_grows_keeps_its_users() -> None:
    routing = Routing(USERS, "1", set(), seed=1)
    before: set[int] = set()
    for share in (0.05, 0.25, 0.5, 0.95):
        routing.share({0: 1 - share, 1: share})
        now = {user for user, arm in enumerate(arms(routing, len(USERS))) if arm == 1}
        assert before <= now
        assert len(now) / len(USERS) == pytest.approx(share, abs=4 * (share * (1 - share) / len(USERS)) ** 0.5)
        before = now


def test_nothing_and_everything_are_exact() -> None:
    routing = Routing([*USERS[:1000], *[None] * 1000], "1", set(), seed=1)
    routing.share({0: 1.0, 1: 0.0})
    assert set(arms(routing, 2000)) == {0}
    routing.share({0: 0.0, 1: 1.0})
    assert set(arms(routing, 2000)) == {1}


def test_without_a_user_each_request_is_assigned_by_chance() -> None:
    routing = Routing([None], "1", set(), seed=1)
    routing.share({0: 0.75, 1: 0.25})
    drawn = [routing.arm(0) for _ in range(4000)]
    assert sum(drawn) / 4000 == pytest.approx(0.25, abs=0.03)


def test_a_forced_payload_goes_to_the_canary_whatever_its_share() -> None:
    routing = Routing(USERS[:10], "1", {3}, seed=1)
    routing.share({0: 1.0, 1: 0.0})
    assert [payload for payload in range(10) if routing.arm(payload) == 1] == [3]


def test_behind_a_router_nobody_is_forced_past_it() -> None:
    routing = Routing(USERS[:10], "1", {3}, seed=1)
    routing.share({0: 1.0})
    assert set(arms(routing, 10)) == {0}


def test_three_arms_share_as_asked() -> None:
    routing = Routing(USERS, "1", set(), seed=1)
    routing.share({0: 0.5, 1: 0.3, 2: 0.2})
    counts = {arm: len(list(group)) for arm, group in itertools.groupby(sorted(arms(routing, len(USERS))))}
    assert [counts[arm] / len(USERS) for arm in range(3)] == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
