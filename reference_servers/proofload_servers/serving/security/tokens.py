"""JSON Web Tokens: signed by one algorithm that this server was told, never by the one that a token asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from proofload_servers.serving.refusals import StartupError
from proofload_servers.serving.settings import Settings

from .secret_text import JWT_KEY

LEAST_SECRET_BYTES = 32  # RFC 7518, 3.2: as many as the hash is long
LEAST_RSA_BITS = 2048  # RFC 7518, 3.3
LONGEST = 8192
LONGEST_SUBJECT = 128


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a valid token says. `permitted`: it has the scope that is asked for."""

    subject: str
    expires_s: float  # Unix time, leeway included
    permitted: bool


class Tokens:
    """Raises StartupError for a key that does not suit the algorithm."""

    def __init__(self, settings: Settings, key_text: str) -> None:
        if not settings.jwt_algorithm:
            raise StartupError("--auth wants tokens: say how they are signed, --jwt-algorithm RS256 or HS256")
        if not key_text:
            raise StartupError(f"--auth wants tokens, and there is no key to check them with; give {JWT_KEY}")
        self._algorithm = settings.jwt_algorithm
        self._key = _public_key(key_text) if self._algorithm == "RS256" else _secret(key_text)
        self._audience = settings.jwt_audience or None
        self._issuer = settings.jwt_issuer or None
        self._scope = settings.jwt_scope
        self._leeway_s = settings.jwt_leeway_s
        required = ["exp", *(["aud"] if self._audience else []), *(["iss"] if self._issuer else [])]
        self._options: Any = {"require": required, "verify_aud": self._audience is not None}

    def bearer_of(self, token: str) -> Bearer | None:
        """What it says, or None for one that is not to be believed, whatever the reason."""
        if len(token) > LONGEST:
            return None
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway_s,
                options=self._options,
            )
            expires_s = float(claims["exp"]) + self._leeway_s
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            return None
        return Bearer(_subject(claims), expires_s, self._permits(claims))

    def _permits(self, claims: dict[str, Any]) -> bool:
        """By RFC 8693, 4.2: `scope` is text with blanks between scopes; some issuers write a list."""
        if not self._scope:
            return True
        given = claims.get("scope", "")
        return self._scope in (given.split() if isinstance(given, str) else given if isinstance(given, list) else ())


def tokens(settings: Settings) -> Tokens:
    return Tokens(settings, JWT_KEY.read(settings.jwt_key_file))


def _subject(claims: dict[str, Any]) -> str:
    """Tokens that name nobody share one bucket."""
    subject = claims.get("sub")
    return subject[:LONGEST_SUBJECT] if isinstance(subject, str) else ""


def _public_key(text: str) -> RSAPublicKey:
    if "PRIVATE KEY" in text:
        raise StartupError(f"{JWT_KEY} holds a private key; to check tokens, a server needs the public one")
    try:
        key = load_pem_public_key(text.encode())
    except ValueError:  # its message might repeat a part
        raise StartupError(f"{JWT_KEY} holds no public key in PEM, which RS256 needs") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_RSA_BITS:
        raise StartupError(f"RS256 needs an RSA key of at least {LEAST_RSA_BITS} bits")
    return key


def _secret(text: str) -> bytes:
    if "-----BEGIN" in text:
        raise StartupError(f"{JWT_KEY} holds a key in PEM; HS256 needs a secret that only its parties know")
    secret = text.encode()
    if len(secret) < LEAST_SECRET_BYTES:
        raise StartupError(f"HS256 needs a secret of at least {LEAST_SECRET_BYTES} bytes, chosen at random")
    return secret
