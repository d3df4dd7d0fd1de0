"""nginx in front of both versions: shares of the users by hash, moved without a reload and without losing a request.

    [driver]
    name = "nginx"
    user_header = "X-User-Id"           # default: the target's request.user_header
    force_header = "X-Proofload-Force"  # requests with this header's value go to the canary; default: the
    force_value = "canary"              # scenario's canary_header, or these

The lab starts it on a free port of 127.0.0.1; it ends with the rollout.
"""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from proofload.drivers import Route, Stage
from proofload.drivers._nginx_configuration import ARM_HEADER, CONTROL_PATH, Plan, configuration
from proofload.drivers._nginx_process import Nginx, running
from proofload.drivers._nginx_shares import BUCKETS, Shares
from proofload.errors import InputError
from proofload.runtimes._ports import free_ports
from proofload.target_model import Target
from proofload.toml_input import Table, validated

DEFAULT_USER_HEADER = "X-User-Id"
DEFAULT_FORCE = ("X-Proofload-Force", "canary")
_ROUTED = "http"
_ASKED = 16
"""Users that are asked for after a move."""
_PATIENCE_S = 10.0


class Settings(Table):
    """[driver] of a scenario, without its name."""

    user_header: str | None = None
    force_header: str | None = None
    force_value: str | None = None


def create(settings: Mapping[str, Any]) -> NginxDriver:
    return NginxDriver(validated(Settings, settings, "the scenario", prefix="driver."))


class NginxDriver:
    """See `proofload.drivers.Driver`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def open(self, stage: Stage) -> AbstractContextManager[NginxTraffic]:
        return self._opened(stage)

    @contextmanager
    def _opened(self, stage: Stage) -> Iterator[NginxTraffic]:
        for target in (stage.baseline.target, stage.canary.target):
            _refuse_other_transports(target)
        settings = self._settings
        baseline = stage.baseline.target
        user_header = settings.user_header or baseline.request.user_header or DEFAULT_USER_HEADER
        asked = stage.forcing_header if all(stage.forcing_header) else DEFAULT_FORCE
        port = free_ports([""])[""]
        folder = stage.folder.absolute()
        text = configuration(
            Plan(
                folder=folder,
                port=port,
                baseline_url=baseline.url,
                canary_url=stage.canary.target.url,
                user_header=user_header,
                force_header=settings.force_header or asked[0],
                force_value=settings.force_value or asked[1],
                salt=stage.salt,
            )
        )
        shares = Shares(folder / "shares")
        with running(text, folder, port, stage.watchdog) as nginx:
            traffic = NginxTraffic(nginx, shares, port, user_header, _router(baseline, port, user_header))
            traffic.move(0.0)
            try:
                yield traffic
            finally:
                shares.give(0.0)


class NginxTraffic:
    """See `proofload.drivers.Traffic`."""

    def __init__(self, nginx: Nginx, shares: Shares, port: int, user_header: str, router: Target) -> None:
        self._nginx = nginx
        self._shares = shares
        self._user_header = user_header
        self._port = port
        self.route = Route(router, ARM_HEADER)

    def move(self, canary_share: float) -> None:
        self._nginx.check_alive()
        count = self._shares.give(canary_share)
        patience = time.monotonic() + _PATIENCE_S
        while not self._follows(count):
            if time.monotonic() > patience:
                raise self._nginx.failed(f"nginx does not follow a move to {canary_share:.1%}")
            time.sleep(0.02)

    def _follows(self, canary_buckets: int) -> bool:
        """Does nginx say of a few users what the move says of them?"""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5.0)
        try:
            with closing(connection):
                return all(self._agrees(connection, canary_buckets) for _ in range(_ASKED))
        except (OSError, http.client.HTTPException, ValueError):
            self._nginx.check_alive()
            return False

    def _agrees(self, connection: http.client.HTTPConnection, canary_buckets: int) -> bool:
        user = str(random.getrandbits(64))  # any user will do
        connection.request("GET", CONTROL_PATH, headers={self._user_header: user})
        bucket, arm = connection.getresponse().read().decode().split()
        return 0 <= int(bucket) < BUCKETS and (arm == "canary") == (int(bucket) < canary_buckets)


def _refuse_other_transports(target: Target) -> None:
    if target.transport != _ROUTED:
        raise InputError(
            f"nginx cannot route target {target.name}: its transport is {target.transport}",
            cause="this driver routes HTTP/1.1 requests",
            remedy='use [driver] name = "client", which moves any transport',
        )


def _router(baseline: Target, port: int, user_header: str) -> Target:
    """The baseline as it is reached through nginx: its own path, headers and answers, at nginx's address."""
    parts = urlsplit(baseline.url)
    url = urlunsplit(("http", f"127.0.0.1:{port}", parts.path, parts.query, ""))
    request = baseline.request.model_copy(update={"user_header": user_header})
    return baseline.model_copy(update={"url": url, "request": request})
