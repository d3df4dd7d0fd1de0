"""Every driver that is found passes the kit; a new file in drivers/ is tested unasked."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from proofload import discovery
from proofload.drivers import Driver, Stage
from proofload.drivers.client import ClientSplit
from proofload.testing import driver_kit
from proofload.testing.answering import answering
from proofload.testing.driver_kit import DriverCase

DRIVERS = list(discovery.implementations("driver"))
HEADER = "X-Who"


def test_the_drivers_are_found() -> None:
    assert {"client", "nginx", "command"} <= set(DRIVERS)


@pytest.mark.real
@pytest.mark.parametrize("claim", driver_kit.CLAIMS, ids=driver_kit.claim_name)
@pytest.mark.parametrize("name", DRIVERS)
def test_it_conforms(
    name: str, claim: Callable[[DriverCase], None], tmp_path: Path, required_program: Callable[..., str]
) -> None:
    if name == "nginx":
        required_program("nginx", "/usr/sbin/nginx")
    with settings_for(name, tmp_path) as settings:
        driver: Driver = discovery.module_for("driver", name).create(settings)
        claim(DriverCase(driver, tmp_path, answering=settings.get("url", "")))


def test_the_kit_catches_a_driver_that_leaves_users_on_the_canary(tmp_path: Path) -> None:
    class Forgetful(ClientSplit):
        @contextmanager
        def open(self, stage: Stage) -> Iterator[Any]:
            with ClientSplit().open(stage) as traffic:
                yield traffic
            stage.split({0: 0.0, 1: 1.0})

    with pytest.raises(AssertionError):
        driver_kit.afterwards_nobody_is_on_the_canary(DriverCase(Forgetful(), tmp_path))


@contextmanager
def settings_for(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """[driver] as this driver needs it here; the command driver gets a router to move."""
    if name != "command":
        yield {}
        return
    weight = folder / "weight"
    weight.write_text("0")
    with router(weight) as url:
        yield {
            "url": url,
            "arm_header": HEADER,
            "user_header": driver_kit.USER_HEADER,
            "move": ["sh", "-c", f"echo {{percent}} > {weight}"],
            "check": ["grep", "-qx", "{percent}", str(weight)],
        }


@contextmanager
def router(weight: Path) -> Iterator[str]:
    """Answers as the version that a user is given to, by the percentage in a file."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            place = zlib.crc32(self.headers[driver_kit.USER_HEADER].encode()) / 2**32
            arm = "canary" if place < float(weight.read_text() or 0) / 100 else "baseline"
            body = json.dumps({"version": arm}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header(HEADER, arm)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with answering(Handler) as address:
        yield address
