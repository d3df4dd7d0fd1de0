"""Waiting until a target is ready, and noting when its port, its liveness and its readiness came.

What is asked: `health.ready` must answer 200; without one, the target's port must listen. `health.live`
only gives an instant. A started target's port is looked up in the kernel's table, so that nothing but
health requests reaches it before the load does.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from proofload.clock import NS_PER_S, Clock
from proofload.errors import InputError
from proofload.runtimes._ports import listening
from proofload.target_model import Target, without_secrets

_DEFAULT_PORTS = {"http": 80, "https": 443, "grpc": 80, "grpcs": 443, "kafka": 9092}
_LOOPBACK = {"127.0.0.1", "localhost", "::1", "0.0.0.0", "::"}  # noqa: S104  recognised, not bound
_FIRST_WAIT_S = 0.002
_LONGEST_WAIT_S = 0.05
_ANSWER_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL points."""

    host: str
    port: int

    @staticmethod
    def of(url: str) -> Address:
        """Raises InputError for a port that is none."""
        parts = urlsplit(url)
        try:
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme.lower(), 80)
        except ValueError as exc:
            raise InputError(
                f"{without_secrets(url)} has no usable port", evidence=str(exc), remedy="correct the url"
            ) from exc
        return Address(parts.hostname or "", port)

    @property
    def is_loopback(self) -> bool:
        return self.host in _LOOPBACK or self.host.startswith("127.")

    def accepts(self, timeout_s: float = _ANSWER_TIMEOUT_S) -> str:
        """Connects and closes again. Empty when that worked, else why not."""
        try:
            with socket.create_connection((self.host, self.port), timeout=timeout_s):
                return ""
        except OSError as exc:
            return exc.strerror or str(exc)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(slots=True)
class Readiness:
    """Polls one target, placeholders filled. `timeline` gets port_bound_ns, live_ns and ready_ns."""

    target: Target
    clock: Clock
    timeline: dict[str, int]
    bound: Callable[[], bool] | None = None
    """Whether its port listens, where that cannot be seen from outside: a published port listens before it does."""
    last: str = field(default="nothing was seen of it yet", init=False)
    """What was seen last, in words, for the message when patience ends."""
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        # Nothing secret travels here, and a server under test may well sign its own certificate. Proxies from the
        # environment must not answer in its place.
        self._client = httpx.Client(verify=False, timeout=_ANSWER_TIMEOUT_S, trust_env=False)  # noqa: S501

    def wait(self, timeout_s: float, check_alive: Callable[[], None]) -> bool:
        """Whether it got ready in time. `check_alive` is called between polls and raises to end the wait."""
        deadline = self.clock.now_ns() + round(timeout_s * NS_PER_S)
        pause = _FIRST_WAIT_S
        try:
            while True:
                check_alive()
                if self._poll():
                    self.timeline["ready_ns"] = self.clock.now_ns()
                    check_alive()
                    return True
                if self.clock.now_ns() > deadline:
                    return False
                self.clock.sleep(pause)
                pause = min(pause * 1.5, _LONGEST_WAIT_S)
        finally:
            self._client.close()

    def _poll(self) -> bool:
        self._note_port()
        ready, live = self.target.ready_url, self.target.live_url
        if live is not None and "live_ns" not in self.timeline and self._answers(live):
            self.timeline["live_ns"] = self.clock.now_ns()
        if ready is None:
            return self._listens(watched_address(self.target))
        if not self._answers(ready):
            return False
        self._note_port()  # it may have been bound since it was looked at above: what answers listens
        return True

    def _note_port(self) -> None:
        if "port_bound_ns" not in self.timeline and self._listens(watched_address(self.target)):
            self.timeline["port_bound_ns"] = self.clock.now_ns()

    def _listens(self, address: Address) -> bool:
        if self.bound is not None:
            found = self.bound()
            self.last = self.last if found else f"nothing listens yet behind {address}"
            return found
        if address.is_loopback and listening(address.port):
            return True
        refusal = address.accepts()  # not in our table and yet there: another host, or another network namespace
        self.last = f"{address}: {refusal}"
        return not refusal

    def _answers(self, url: str) -> bool:
        try:
            with self._client.stream("GET", url) as answer:  # an endless body is not read
                self.last = f"{without_secrets(url)} answered {answer.status_code}"
                return answer.status_code == httpx.codes.OK
        except httpx.HTTPError as exc:
            self.last = f"{without_secrets(url)}: {type(exc).__name__} {exc}".rstrip()
            return False


def watched_address(target: Target) -> Address:
    """The target's own port. A Kafka URL is the broker's, so there it is that of its health endpoint, if any."""
    ready = target.ready_url
    if urlsplit(target.url).scheme.lower() == "kafka" and ready is not None:
        return Address.of(ready)
    return Address.of(target.url)
