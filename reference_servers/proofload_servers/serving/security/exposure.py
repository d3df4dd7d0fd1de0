"""A server that others can reach wants credentials, unless whoever starts it says that something else guards it."""

from __future__ import annotations

import ipaddress

from proofload_servers.serving.refusals import StartupError
from proofload_servers.serving.settings import Settings


def check_exposure(settings: Settings) -> None:
    """Raises StartupError where anybody who reaches the address could use the model, and nobody said so."""
    if settings.auth != "none" or settings.allow_unauthenticated or is_loopback(settings.host):
        return
    raise StartupError(
        f"--host {settings.host or '(every address)'} is not loopback, and nobody would be asked for credentials; "
        "say --auth api-key, jwt or any, or --host 127.0.0.1, or, where something else guards the port (as when a "
        "container's port is published on 127.0.0.1), --allow-unauthenticated"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it. A name other than localhost may lead anywhere, so it is not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
