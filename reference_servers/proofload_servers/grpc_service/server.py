"""gRPC's asyncio server on uvloop: our port, our signals, a drain that answers what was accepted.

asyncio and not a thread pool: measured, the two are as fast as each other, and a pool of threads is
one more queue, unbounded and unseen, in front of the bounded one.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Any

import grpc
import grpc.aio
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from proofload_servers.serving import Service, Settings, StartupError
from proofload_servers.serving.side_port import SidePort

from .calls import Calls, handler

SERVICE_NAME = "proofload.serving.v1.Prediction"
LOG = logging.getLogger("proofload_servers.grpc")


def serve(settings: Settings, *, shared_port: bool) -> None:
    """Serves until told to stop; raises StartupError when it cannot. `shared_port`: other workers listen there too."""
    uvloop.run(_Program(settings, shared_port=shared_port).run())


class _Program:
    def __init__(self, settings: Settings, *, shared_port: bool) -> None:
        self._settings = settings
        self._shared_port = shared_port
        self._stop = asyncio.Event()
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]  # not in the stubs

    async def run(self) -> None:
        settings = self._settings
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        service = Service.start(settings)
        side = self._side_port(service)
        calls = Calls(service)
        server = self._server(calls, service)
        warm = asyncio.ensure_future(asyncio.to_thread(service.wait_ready))
        try:
            await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
            if self._shared_port:  # a worker among others takes no connection before it can answer
                await self._until_warm(warm)
            if not self._stop.is_set():
                port = self._listen(server)
                await server.start()
                LOG.info("listening", extra={"port": port})
            await self._until_warm(warm)
            if not self._stop.is_set():
                await self._say(health_pb2.HealthCheckResponse.SERVING)
            await self._stop.wait()
            await self._drain(service, server, calls)
        finally:
            await server.stop(None)
            await asyncio.to_thread(service.drain, 0.0)
            if side is not None:
                side.close()

    def _server(self, calls: Calls, service: Service) -> Any:
        options = (
            ("grpc.so_reuseport", int(self._shared_port)),
            ("grpc.max_receive_message_length", self._settings.max_body_kib * 1024),
        )
        server: Any = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers((handler(calls),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if service.guard is None or not service.guard.needs_credentials:
            reflection.enable_server_reflection((SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        return server

    def _listen(self, server: Any) -> int:
        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            port: int = server.add_insecure_port(f"{host}:{settings.port}")
        except RuntimeError as exc:
            raise StartupError(
                f"cannot listen on {host}:{settings.port}; choose another --port or end what holds this one"
            ) from exc
        return port

    def _side_port(self, service: Service) -> SidePort | None:
        """Of several workers one has it, and its metrics are those of all."""
        try:
            return SidePort(service, self._settings.host, self._settings.metrics_port)
        except StartupError:
            if self._shared_port:
                return None
            raise

    async def _until_warm(self, warm: asyncio.Future[None]) -> None:
        """Raises StartupError when loading fails; returns early when told to stop."""
        stopped: asyncio.Future[Any] = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait([warm, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if warm.done():
            warm.result()

    async def _drain(self, service: Service, server: Any, calls: Calls) -> None:
        """Not ready; a notice later no new calls; then what was accepted is answered."""
        settings = self._settings
        service.begin_drain()
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        await asyncio.sleep(settings.drain_notice_s)
        calls.drain_streams()
        await server.stop(settings.drain_s)
        await asyncio.to_thread(service.drain, settings.drain_s)

    async def _say(self, status: Any) -> None:
        for name in ("", SERVICE_NAME):
            await self._health.set(name, status)
