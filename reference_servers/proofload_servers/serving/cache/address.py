"""What --cache may say, and how it is told without what may be secret in it."""

from __future__ import annotations

from urllib.parse import urlsplit

FORMS = "none, memory or redis://HOST:PORT[/DB]"
_WITH_HOST = {"redis", "rediss"}


def checked(text: str) -> str:
    """`text` itself. Raises ValueError, whose message never repeats it: it may hold a password.

    rediss:// (TLS) and unix:///PATH are understood, too. Options after a ? are not: time limits have a flag.
    """
    if text in {"none", "memory"}:
        return text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # its message would repeat a part
        raise ValueError(f"that is no address; say {FORMS}") from None
    database = parts.path.strip("/")
    if parts.query or parts.fragment:
        raise ValueError(f"the address has options or a fragment; say {FORMS}")
    if parts.scheme == "unix" and not parts.netloc and database:
        return text
    if parts.scheme not in _WITH_HOST or not parts.hostname or port == 0:
        raise ValueError(f"say {FORMS}")
    if database and not database.isdecimal():
        raise ValueError(f"the database must be a number; say {FORMS}")
    return text


def told(address: str) -> str:
    """The address without user and password."""
    scheme, separator, rest = address.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
