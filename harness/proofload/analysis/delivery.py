"""What became of the messages of a stream: answered, late, lost, answered twice, answered out of order.

A message is told apart by its correlation id; here, by its *row*: the how-manieth record of its engine process it
is, over all phases, which is how the transport's account ("delivery" events, see transports/_kafka_delivery.py)
names it too. Definitions, for an observer who sees requests and answers only:

lost        sent, and never answered although a message of the same key that was sent later was: the worker went
            past it. Where messages have no key, a later message of any kind counts.
waiting     sent and not answered, and nothing sent later with its key was: it may still lie in the topic
late        answered after the client had given it up; not lost
duplicated  answers beyond the first; they count where they arrived
reordered   RFC 4737, section 3.3, with one sequence for each key and partition of the reply topic; where they arrived
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proofload.clock import NS_PER_S
from proofload.records import Event, Outcome

EXAMPLES = 20
_NONE = np.zeros(0, dtype=np.int64)
_ANSWERS = (Outcome.OK, Outcome.WRONG, Outcome.LATE, Outcome.SHED)


@dataclass(frozen=True, slots=True)
class Account:
    """What one engine process told at one instant of messages since it last told."""

    t_ns: int
    worker: int
    counts: Mapping[str, int]
    """"late", "duplicated", "reordered"."""
    rows: Mapping[str, Sequence[tuple[int, int]]]
    """Stretches of rows, first and last, in the order of arrival; not all that were counted need stand here."""


@dataclass(frozen=True, slots=True)
class PhaseDelivery:
    """Of one phase. `lost`, `waiting` and `late` are of the messages sent in it, the rest of the answers that came."""

    phase: int
    sent: int = 0
    answered: int = 0
    """In time or late, whatever the answer said."""
    late: int = 0
    lost: int = 0
    waiting: int = 0
    undelivered: int = 0
    """The client could not hand them over, or the run ended first: nothing is known of them."""
    duplicated: int = 0
    reordered: int | None = None
    """None where messages have no key: then no order is promised."""
    stood_still_s: float = 0.0
    """The longest time between two answers, up to the last one."""
    stopped_ns: int = 0
    """When that time began."""
    repeated_ns: NDArray[np.int64] = field(default_factory=lambda: _NONE)
    """For each surplus answer that can be placed: when its message was answered first."""
    lost_ns: NDArray[np.int64] = field(default_factory=lambda: _NONE)
    """When the lost messages were sent."""
    lost_rows: tuple[tuple[int, int], ...] = ()
    """(worker, row) of a few."""

    @property
    def counts(self) -> dict[str, int]:
        """`PhaseSummary.delivery`: what cannot be known is not there."""
        known = {"lost": self.lost, "duplicated": self.duplicated, "reordered": self.reordered}
        return {name: count for name, count in known.items() if count is not None}


def accounts(events: Iterable[Event]) -> tuple[Account, ...]:
    """What the transports told, from the events of a run."""
    return tuple(
        Account(
            event.t_ns,
            int(event.detail["worker"]),
            event.detail["counts"],
            {kind: [(first, last) for first, last in spans] for kind, spans in event.detail["rows"].items()},
        )
        for event in events
        if event.kind == "delivery"
    )


def deliveries(
    phases: Iterable[tuple[int, int, NDArray[Any]]], told: Sequence[Account], *, keys: int
) -> tuple[PhaseDelivery, ...]:
    """Of all phases: (index, start, samples in order of due time), in order and without gaps.

    `keys`: over how many keys messages were spread by payload number; 0: they have none. Raises ValueError when an
    account names a row that no phase has.
    """
    late = _rows_by_worker(told, "late")
    repeated = _rows_by_worker(told, "duplicated")
    first_answers: dict[int, dict[int, int]] = defaultdict(dict)
    base: dict[int, int] = defaultdict(int)
    newest: dict[tuple[int, int], int] = {}
    looked_at: list[_Phase] = []
    for index, start_ns, table in phases:
        phase = _Phase(index, start_ns, table)
        looked_at.append(phase)
        for worker in np.unique(table["worker"]).tolist():
            rows = table[table["worker"] == worker]
            first = base[worker]
            base[worker] += len(rows)
            phase.look(worker, first, rows, late=late.get(worker, _NONE), keys=keys, newest=newest)
            wanted = np.unique(repeated.get(worker, _NONE))
            inside = wanted[(wanted >= first) & (wanted < first + len(rows))]
            first_answers[worker].update(zip(inside.tolist(), rows["done_ns"][inside - first].tolist(), strict=True))
    return _with_arrivals([phase.delivery(newest) for phase in looked_at], looked_at, told, first_answers, keys)


class _Phase:
    """One phase under way of being counted; keeps of its samples only what is still open."""

    def __init__(self, index: int, start_ns: int, table: NDArray[Any]) -> None:
        self.index = index
        self.start_ns = start_ns
        replied = _replied(table)
        self.sent = int(np.count_nonzero(table["sent_ns"]))
        self.answered = int(np.count_nonzero(replied))
        self.undelivered = self.sent - self.answered - int(np.count_nonzero(_open(table)))
        self.late = 0
        self.unanswered: list[tuple[int, int, NDArray[np.int64], NDArray[np.int64]]] = []
        instants = np.sort(table["done_ns"][replied])
        gaps = np.diff(instants)
        widest = int(np.argmax(gaps)) if len(gaps) else -1
        self.stopped_ns = int(instants[widest]) if widest >= 0 else 0
        self.stood_still_s = float(gaps[widest]) / NS_PER_S if widest >= 0 else 0.0

    def look(
        self,
        worker: int,
        first: int,
        rows: NDArray[Any],
        *,
        late: NDArray[np.int64],
        keys: int,
        newest: dict[tuple[int, int], int],
    ) -> None:
        """Take in one engine process's records, the first of which is its row `first`."""
        waiting, replied = _open(rows), _replied(rows)
        came = late[(late >= first) & (late < first + len(rows))] - first
        came = came[waiting[came]]
        waiting[came] = False
        replied[came] = True
        self.late += len(came)
        key = rows["payload"].astype(np.int64) % keys if keys else np.zeros(len(rows), dtype=np.int64)
        places = np.flatnonzero(replied)
        for each in np.unique(key[places]).tolist():
            newest[worker, each] = first + int(places[key[places] == each][-1])
        left = np.flatnonzero(waiting)
        for each in np.unique(key[left]).tolist():
            of_key = left[key[left] == each]
            self.unanswered.append((worker, each, of_key + first, rows["sent_ns"][of_key]))

    def delivery(self, newest: Mapping[tuple[int, int], int]) -> PhaseDelivery:
        lost_ns, lost_rows, waiting = [], [], 0
        for worker, key, rows, sent_ns in self.unanswered:
            passed = rows < newest.get((worker, key), -1)
            lost_ns.append(sent_ns[passed])
            lost_rows += [(worker, int(row)) for row in rows[passed][:EXAMPLES]]
            waiting += int(np.count_nonzero(~passed))
        all_lost = np.sort(np.concatenate(lost_ns)) if lost_ns else _NONE
        return PhaseDelivery(
            phase=self.index,
            sent=self.sent,
            answered=self.answered + self.late,
            late=self.late,
            lost=len(all_lost),
            waiting=waiting,
            undelivered=self.undelivered,
            stood_still_s=self.stood_still_s,
            stopped_ns=self.stopped_ns,
            lost_ns=all_lost,
            lost_rows=tuple(sorted(lost_rows, key=lambda pair: pair[1])[:EXAMPLES]),
        )


def _with_arrivals(
    counted: Sequence[PhaseDelivery],
    phases: Sequence[_Phase],
    told: Sequence[Account],
    first_answers: Mapping[int, Mapping[int, int]],
    keys: int,
) -> tuple[PhaseDelivery, ...]:
    """With the surplus and reordered answers, each in the phase during or after which it came."""
    starts = np.array([phase.start_ns for phase in phases], dtype=np.int64)
    duplicated, reordered = [0] * len(phases), [0] * len(phases)
    repeats: list[list[int]] = [[] for _ in phases]
    for account in told:
        place = int(np.searchsorted(starts, account.t_ns, side="right")) - 1
        if place < 0:
            continue
        duplicated[place] += account.counts.get("duplicated", 0)
        reordered[place] += account.counts.get("reordered", 0)
        known = first_answers.get(account.worker, {})
        for row in _spread(account.rows.get("duplicated", ())).tolist():
            if row in known:
                repeats[place].append(known[row])
    return tuple(
        replace(
            one,
            duplicated=duplicated[at],
            reordered=reordered[at] if keys else None,
            repeated_ns=np.array(repeats[at], dtype=np.int64),
        )
        for at, one in enumerate(counted)
    )


def _replied(table: NDArray[Any]) -> NDArray[np.bool_]:
    """Which messages had an answer before they were given up; an error that the peer told is one."""
    outcome = table["outcome"]
    answered = np.isin(outcome, _ANSWERS) | ((outcome == Outcome.ERROR) & (table["status"] >= 0))
    replied: NDArray[np.bool_] = answered & (table["sent_ns"] > 0)
    return replied


def _open(table: NDArray[Any]) -> NDArray[np.bool_]:
    """Which messages were sent and given up."""
    given_up: NDArray[np.bool_] = (table["outcome"] == Outcome.TIMEOUT) & (table["sent_ns"] > 0)
    return given_up


def _rows_by_worker(told: Sequence[Account], kind: str) -> dict[int, NDArray[np.int64]]:
    found: dict[int, list[NDArray[np.int64]]] = defaultdict(list)
    for account in told:
        found[account.worker].append(_spread(account.rows.get(kind, ())))
    return {worker: np.concatenate(parts) for worker, parts in found.items()}


def _spread(spans: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    if not spans:
        return _NONE
    return np.concatenate([np.arange(first, last + 1, dtype=np.int64) for first, last in spans])
