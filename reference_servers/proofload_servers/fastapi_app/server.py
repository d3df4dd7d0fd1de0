"""uvicorn as a library: our signals, our socket, exit 0 after a drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from proofload_servers.serving import Service

from .app import create_app

KEEP_ALIVE_S = 75  # longer than the 60 s after which common balancers drop an idle connection: they close first, not we


class DrainingServer(uvicorn.Server):
    """SIGTERM: not ready at once, the listener closed a notice later, requests in flight finished, then a clean return.

    uvicorn itself raises the signal again when done, which would turn a clean end into a death by signal.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._notice: asyncio.TimerHandle | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.state == "draining":  # asked twice: at once
            super().handle_exit(sig, frame)
            return
        self._service.begin_drain()
        asyncio.get_event_loop().call_soon_threadsafe(self._after_notice)

    def _after_notice(self) -> None:
        self._notice = asyncio.get_running_loop().call_later(self._service.settings.drain_notice_s, self._close)

    def _close(self) -> None:
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if self._service.state == "failed":
            return True
        return await super().on_tick(counter)


def serve(service: Service, sock: socket.socket) -> None:
    """Serves until told to stop or until loading the model has failed; the service is drained then."""
    settings = service.settings
    config = uvicorn.Config(
        create_app(service),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,  # our JSON handler takes uvicorn's lines
        access_log=False,
        server_header=False,
        proxy_headers=False,  # who is limited by its address must not be able to say another one
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
    )
    DrainingServer(config, service).run(sockets=[sock])
