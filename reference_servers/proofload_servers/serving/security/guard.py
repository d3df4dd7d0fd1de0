"""Admits a caller or raises what it gets instead: 401, 403 or 429, and no word about why."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proofload_servers.serving.metrics import Metrics
from proofload_servers.serving.refusals import Forbidden, Refusal, StartupError, TooMany, Unauthenticated
from proofload_servers.serving.settings import Settings

from .api_keys import ApiKeys, api_keys
from .buckets import TokenBuckets
from .secret_text import API_KEYS, JWT_KEY

if TYPE_CHECKING:
    from .tokens import Tokens

SCHEME = "bearer "
KEY, TOKEN, PEER = "key", "token", "peer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name of its key, the subject of its token, or without credentials its address. `expires_s` (Unix
    time) is when its token does, None for what does not."""

    kind: str
    name: str
    expires_s: float | None = None


class Guard:
    """One per service. Thread-safe, quick enough for an event loop.

    `buckets`: for each kind of caller those of its own, so that however many addresses guess, no key waits for them.
    """

    def __init__(
        self, keys: ApiKeys | None, tokens: Tokens | None, buckets: Mapping[str, TokenBuckets] | None, metrics: Metrics
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._buckets = buckets
        self._metrics = metrics
        self.needs_credentials = keys is not None or tokens is not None

    def admit(self, authorization: str | None, api_key: str | None, peer: str) -> Caller:
        """The caller of one request, which is charged for it. Raises Unauthenticated, Forbidden or TooMany.

        Whoever guesses is charged by the address it comes from, and so is slowed down like anybody else.
        """
        if not self.needs_credentials:
            caller = Caller(PEER, network_of(peer))
            self._charge(caller)
            return caller
        known, permitted = self._known(authorization, api_key)
        if known is None:
            self._charge(Caller(PEER, network_of(peer)))
            raise self._counted(Unauthenticated(), "unauthenticated")
        self._charge(known)
        if not permitted:
            raise self._counted(Forbidden(), "forbidden")
        return known

    def again(self, caller: Caller) -> None:
        """One more message on a stream that was admitted. Raises Unauthenticated once its token has expired."""
        if caller.expires_s is not None and time.time() >= caller.expires_s:
            raise self._counted(Unauthenticated(), "unauthenticated")
        self._charge(caller)

    def more(self, caller: Caller, count: int) -> None:
        """An admitted request turned out to hold `count` more than the one it was charged for."""
        if self._buckets is not None and count > 0:
            self._buckets[caller.kind].owe(caller.name, count)

    def _known(self, authorization: str | None, api_key: str | None) -> tuple[Caller | None, bool]:
        """(the caller, whether it may). A bearer is a token or a key; where keys count, X-Api-Key outranks it."""
        bearer = None
        if authorization is not None and authorization[: len(SCHEME)].lower() == SCHEME:
            bearer = authorization[len(SCHEME) :].strip()
        key = bearer
        if api_key is not None and self._keys is not None:
            key, bearer = api_key, None
        if self._tokens is not None and bearer and (said := self._tokens.bearer_of(bearer)) is not None:
            return Caller(TOKEN, said.subject, said.expires_s), said.permitted
        name = self._keys.name_of(key) if self._keys is not None and key else None
        return (Caller(KEY, name), True) if name is not None else (None, False)

    def _charge(self, caller: Caller) -> None:
        if self._buckets is not None and (wait_s := self._buckets[caller.kind].take(caller.name)) > 0.0:
            raise self._counted(TooMany(retry_after_s=wait_s), "rate_limited")

    def _counted(self, refusal: Refusal, reason: str) -> Refusal:
        self._metrics.turned_away(reason)
        return refusal


def guard_of(settings: Settings, metrics: Metrics) -> Guard | None:
    """The guard that was asked for, None where nobody is asked for anything. Raises StartupError."""
    wants_keys, wants_tokens = settings.auth in {"api-key", "any"}, settings.auth in {"jwt", "any"}
    for wanted, secret, file in (
        (wants_keys, API_KEYS, settings.api_keys_file),
        (wants_tokens, JWT_KEY, settings.jwt_key_file),
    ):
        if not wanted and secret.is_given(file):
            raise StartupError(f"{secret} is given, and --auth {settings.auth} makes no use of it")
    keys = api_keys(settings.api_keys_file) if wants_keys else None
    checked = None
    if wants_tokens:
        from .tokens import tokens  # and with it a library for cryptography, which nobody else needs

        checked = tokens(settings)
    buckets = None
    if (rate := settings.rate_limit_rps) > 0.0:
        burst, most = settings.rate_limit_burst or max(1.0, rate), settings.rate_limit_clients
        buckets = {kind: TokenBuckets(rate, burst, most) for kind in (KEY, TOKEN, PEER)}
    if keys is None and checked is None and buckets is None:
        return None
    return Guard(keys, checked, buckets, metrics)


def network_of(address: str) -> str:
    """Whose bucket an address counts for: of IPv6 the network of 64 bits, all of which one subscriber has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found)
