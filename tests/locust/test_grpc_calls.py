"""Locust's users over gRPC: what the server is told of their patience, and that they have it either way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest

from proofload._locust.calls.grpc import GrpcCalls
from proofload.transports import TransportSpec

PATIENCE_S = 60.0
TOLD, NOT_TOLD = b"a deadline", b"no deadline"


class Waiter:
    """Says whether it was told a deadline; the body "wait" is not answered before the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def service(self, _details: Any) -> Any:
        def answer(body: bytes, context: Any) -> bytes:
            if body == b"wait":
                self.over.wait(PATIENCE_S)
            left = context.time_remaining()
            return NOT_TOLD if left is None or left > 2 * PATIENCE_S else TOLD

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
def port() -> Iterator[int]:
    waiter = Waiter()
    handlers: Any = [waiter]
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers)
    port = int(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    yield port
    waiter.over.set()
    server.stop(None).wait()


class Answers:
    """A sink that keeps what was answered."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def sent(self, _row: int) -> None: ...

    def answered(self, _row: int, _status: int, body: bytes) -> None:
        self.bodies.append(body)


def calls(port: int, *, deadline: bool) -> GrpcCalls:
    """Opened by hand: `open` would have all of this process's gRPC wait by way of gevent."""
    made = GrpcCalls(
        TransportSpec(name="grpc", url=f"grpc://127.0.0.1:{port}", bodies=(), request={"deadline": deadline})
    )
    channel: Any = grpc.insecure_channel(f"127.0.0.1:{port}")  # the stubs call what has defaults required
    made.call = channel.unary_unary("/a.Service/Method")
    made.bodies = [b"answer", b"wait"]
    return made


@pytest.mark.real
@pytest.mark.parametrize(("deadline", "seen"), [(True, TOLD), (False, NOT_TOLD)])
def test_a_deadline_is_sent_unless_the_target_file_says_not_to(port: int, deadline: bool, seen: bytes) -> None:
    sink: Any = Answers()
    calls(port, deadline=deadline).user()(0, PATIENCE_S, sink)
    assert sink.bodies == [seen]


@pytest.mark.real
@pytest.mark.parametrize("deadline", [True, False])
def test_a_user_gives_up_whether_or_not_the_server_was_told(port: int, deadline: bool) -> None:
    sink: Any = Answers()
    with pytest.raises(TimeoutError):
        calls(port, deadline=deadline).user()(1, 0.2, sink)
    assert not sink.bodies
