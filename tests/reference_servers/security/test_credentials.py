"""API keys and tokens: what is believed, what is not, and that nothing of a secret is told."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from proofload_servers.serving import Settings, StartupError
from proofload_servers.serving.metrics import Metrics
from proofload_servers.serving.security import guard_of
from proofload_servers.serving.security.api_keys import ApiKeys
from proofload_servers.serving.security.secret_text import API_KEYS
from proofload_servers.serving.security.tokens import Tokens

ALICE = "alice-has-a-long-random-key"
BOB = "bob-has-another-random-key"
SECRET = "0123456789abcdef0123456789abcdef"


@functools.cache
def pair(bits: int = 2048) -> tuple[str, str]:
    """(private, public), in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def soon() -> int:
    return int(time.time()) + 60


def signed(claims: dict[str, Any], key: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm=algorithm)


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


# API keys.


def test_a_key_tells_whose_it_is_and_a_digest_does_as_well_as_the_key() -> None:
    digest = hashlib.sha256(BOB.encode()).hexdigest()
    keys = ApiKeys(f"alice:{ALICE}\nbob:sha256={digest}")
    assert keys.name_of(ALICE) == "alice"
    assert keys.name_of(BOB) == "bob"
    for wrong in ("", ALICE[:-1], ALICE + "x", "alice", digest, f"sha256={digest}", "\udcff" * 600):
        assert keys.name_of(wrong) is None


def test_every_key_is_compared_in_constant_time_whichever_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    keys = ApiKeys(f"alice:{ALICE} bob:{BOB}")
    monkeypatch.setattr(hmac, "compare_digest", watched)
    for sent in (ALICE, BOB, "neither-of-the-two-keys"):
        compared.clear()
        keys.name_of(sent)
        assert len(compared) == 2


@pytest.mark.parametrize(
    "text",
    ["", "no-colon-in-this-one-here", f"al ice:{ALICE}", "alice:short", f"a:{ALICE} a:{BOB}", f"a:{ALICE} b:{ALICE}"],
)
def test_a_key_that_is_none_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(StartupError) as refused:
        ApiKeys(text)
    for word in text.replace(":", " ").split():
        assert len(word) < 4 or word not in str(refused.value)


def test_keys_come_from_a_file_or_the_environment_and_not_from_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"alice:{ALICE}\n")
    assert API_KEYS.read(str(file)) == f"alice:{ALICE}"
    monkeypatch.setenv("PROOFLOAD_API_KEYS", f" bob:{BOB} ")
    assert API_KEYS.read("") == f"bob:{BOB}"
    with pytest.raises(StartupError, match="both given"):
        API_KEYS.read(str(file))
    monkeypatch.delenv("PROOFLOAD_API_KEYS")
    with pytest.raises(StartupError, match="cannot be read"):
        API_KEYS.read(str(tmp_path / "none"))


# Tokens.


def hs256(**settings: Any) -> Tokens:
    return Tokens(Settings(model="m", jwt_algorithm="HS256", **settings), SECRET)


def rs256() -> Tokens:
    return Tokens(Settings(model="m", jwt_algorithm="RS256"), pair()[1])


def test_a_signed_token_in_time_is_believed() -> None:
    for tokens, token in (
        (hs256(), signed({"sub": "alice", "exp": soon()})),
        (rs256(), signed({"sub": "alice", "exp": soon()}, pair()[0], "RS256")),
    ):
        bearer = tokens.bearer_of(token)
        assert bearer is not None
        assert (bearer.subject, bearer.permitted) == ("alice", True)
        assert time.time() < bearer.expires_s < time.time() + 70


def unsigned() -> str:
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'sub': 'alice', 'exp': soon()})}."


def confused() -> str:
    """The public key, which everybody may know, used as if it were a shared secret."""
    head = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'sub': 'alice', 'exp': soon()})}"
    seal = hmac.new(pair()[1].encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(seal).rstrip(b'=').decode()}"


FORGED: list[tuple[str, Callable[[], Tokens], Callable[[], str]]] = [
    ("unsigned", hs256, unsigned),
    ("unsigned to RS256", rs256, unsigned),
    ("signed by another algorithm", rs256, lambda: signed({"exp": soon()})),
    ("signed with the public key", rs256, confused),
    ("a longer hash of the same secret", hs256, lambda: signed({"exp": soon()}, SECRET * 2, "HS512")),
    ("another secret", hs256, lambda: signed({"exp": soon()}, SECRET[::-1])),
    ("without an expiry", hs256, lambda: signed({"sub": "alice"})),
    ("expired", hs256, lambda: signed({"exp": int(time.time()) - 60})),
    ("not yet valid", hs256, lambda: signed({"exp": soon(), "nbf": soon()})),
    ("an expiry that is no number", hs256, lambda: signed({"exp": "tomorrow"})),
    ("an expiry beyond all numbers", hs256, lambda: signed({"exp": 1e308 * 10})),
    ("a changed claim", hs256, lambda: signed({"exp": soon()}).replace(".", "." + part({"sub": "root"})[:4], 1)),
    ("too long", hs256, lambda: signed({"exp": soon(), "sub": "x" * 9000})),
    ("no token", hs256, lambda: "..."),
    ("empty", hs256, lambda: ""),
    ("not for us", lambda: hs256(jwt_audience="us"), lambda: signed({"exp": soon(), "aud": "them"})),
    ("for nobody", lambda: hs256(jwt_audience="us"), lambda: signed({"exp": soon()})),
    ("by somebody else", lambda: hs256(jwt_issuer="us"), lambda: signed({"exp": soon(), "iss": "them"})),
]


@pytest.mark.parametrize(("tokens", "token"), [case[1:] for case in FORGED], ids=[case[0] for case in FORGED])
def test_a_token_that_proves_nothing_is_not_believed(tokens: Callable[[], Tokens], token: Callable[[], str]) -> None:
    assert tokens().bearer_of(token()) is None


@pytest.mark.parametrize(
    ("scope", "permitted"),
    [("predict", True), ("read predict", True), (["predict"], True), ("predictor", False), (None, False), (7, False)],
)
def test_a_scope_is_a_whole_word(scope: Any, permitted: bool) -> None:
    bearer = hs256(jwt_scope="predict").bearer_of(signed({"exp": soon(), "scope": scope}))
    assert bearer is not None
    assert bearer.permitted is permitted


def test_a_key_that_does_not_suit_the_algorithm_is_refused_without_being_repeated() -> None:
    private, public = pair()
    weak = pair(1024)[1]
    for algorithm, key in (
        ("RS256", private), ("RS256", SECRET), ("RS256", weak), ("RS256", ""), ("HS256", public),
        ("HS256", SECRET[:31]), ("", SECRET),
    ):  # fmt: skip
        with pytest.raises(StartupError) as refused:
            Tokens(Settings(model="m", jwt_algorithm=algorithm), key)
        told = key[40:60] or key[:20]
        assert not told or told not in str(refused.value)


# Both, as a server is told.


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        ({"auth": "api-key"}, {}),
        ({"auth": "jwt"}, {"PROOFLOAD_JWT_KEY": SECRET}),
        ({"auth": "jwt", "jwt_algorithm": "HS256"}, {}),
        ({"auth": "none"}, {"PROOFLOAD_API_KEYS": f"a:{ALICE}"}),
        ({"auth": "api-key"}, {"PROOFLOAD_API_KEYS": f"a:{ALICE}", "PROOFLOAD_JWT_KEY": SECRET}),
    ],
    ids=["no keys", "no algorithm", "no secret", "keys for nothing", "a secret for nothing"],
)
def test_what_does_not_fit_together_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StartupError) as refused:
        guard_of(Settings(model="m", **settings), Metrics())  # type: ignore[arg-type]
    assert SECRET not in str(refused.value)
    assert ALICE not in str(refused.value)
