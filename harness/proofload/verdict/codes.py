"""The closed list of validity codes: what raises each, its published threshold, and what to do about it.

Data only; validity.py computes them. Each code names something that the client, the host or the lab
did to the numbers. What the target did is never on this list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proofload.analysis.health import STALL_MS
from proofload.clock import NS_PER_MS

CPU_FULL = 0.95
STARVED = 0.25
STARVED_WITH_LAG = 0.10
STARVED_AND_LATE = 0.015
HARMFUL_LAG_MS = 0.5
STALLS_ALWAYS_FREE = 2
STALL_EVERY_S = 10.0
STEAL = 0.10
BROKER_MESSAGES = 80_000
BROKER_BYTES = 4 * 1024 * 1024
HELD_UP = 0.01
CLOCK_SLACK_NS = NS_PER_MS // 10


@dataclass(frozen=True, slots=True)
class Rule:
    """One code of the closed list: when it is raised, and what to do about it."""

    code: str
    threshold: str
    remedy: str


_RULES = (
    Rule(
        "send-lag",
        "p50, p90, p95 or p99 of the send lag above max(1 ms, 10 % of the same percentile of latency); "
        "p99.9 and p99.99 are withheld instead",
        "lower rate_rps, add engine workers, or free the client's core of other work",
    ),
    Rule(
        "cpu-starved",
        f"an engine process waited for a core {STARVED:.0%} of the time, or {STARVED_WITH_LAG:.0%} of it with "
        f"send lag p99 above {HARMFUL_LAG_MS} ms, or {STARVED_AND_LATE:.1%} of it where the send lag is not permitted",
        "stop what else runs on the client's core, or pin the target to other cores",
    ),
    Rule(
        "loop-stall",
        f"the client's loop stood still for {STALL_MS:.0f} ms or longer more than {STALLS_ALWAYS_FREE} times "
        f"and more often than once in {STALL_EVERY_S:.0f} s",
        "find what blocks the engine process: swapping, a debugger, a stopped process, a plug-in that computes",
    ),
    Rule(
        "client-cpu",
        f"an engine process used more than {CPU_FULL:.0%} of a core and send lag p99 or connection wait p99 is above "
        f"{HARMFUL_LAG_MS} ms",
        "add engine workers or lower rate_rps",
    ),
    Rule(
        "conservation",
        "any planned request without exactly one record",
        "report this as a defect of proofload if the run was neither interrupted nor killed",
    ),
    Rule(
        "unsent",
        "any request that was due and never dispatched",
        "let the run end by itself, or lower rate_rps so that the client can keep up",
    ),
    Rule(
        "client-ports",
        "any request failed because this host had no free local port or network buffer",
        "cap `connections`, reuse them, or widen net.ipv4.ip_local_port_range",
    ),
    Rule(
        "client-fds",
        "any request failed because this process had no free file descriptor",
        "raise `ulimit -n`, or cap `connections`",
    ),
    Rule("interrupted", "the run ended before its plan did", "run it again and let it end by itself"),
    Rule("no-data", "no request reached the target", "see the errors by kind, and `proofload doctor`"),
    Rule(
        "host-steal",
        f"the hypervisor took {STEAL:.0%} of the client's core or more",
        "use a machine whose cores are not shared, or run at another time",
    ),
    Rule(
        "shared-core",
        "client and target may run on the same core, and the client shows it (send-lag, cpu-starved or loop-stall)",
        "give the machine a second core, or the target other cores",
    ),
    Rule(
        "broker-backlog",
        f"more than {BROKER_MESSAGES:,} messages or {BROKER_BYTES // 2**20} MiB waited in one partition of the "
        "embedded broker, which forgets the oldest beyond 100,000 or 5 MiB",
        "lower rate_rps, or name a real broker",
    ),
    Rule(
        "closed-loop",
        f"users who wait for their answers sent (Locust's gevent users), and more than {HELD_UP:.0%} of the requests "
        "fell due while their user still waited for an earlier answer",
        "let the engine send, or more users: while the target is slow, users in a closed loop ask less of it",
    ),
    Rule(
        "clock",
        "any sample whose instants are out of order (dispatched before it was due, sent before dispatched, "
        "done before sent) by more than 0.1 ms",
        "check the host's clock source; run all engine processes on one host",
    ),
)
RULES: Mapping[str, Rule] = MappingProxyType({rule.code: rule for rule in _RULES})
"""The closed list, in the order in which it is reported."""

LATE_CLIENT = frozenset({"send-lag", "cpu-starved", "loop-stall", "client-cpu", "shared-core", "host-steal"})
"""The codes of a client that was late, or had cause to be. That can only lengthen the latencies that it
sees: a procedure that decides by something else may do with these."""
