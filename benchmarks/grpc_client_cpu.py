"""Client CPU per unary gRPC call: the transport `grpc` against tight `grpc.aio` loops and `grpc-aio`.

The same server on the other core answers all; rounds alternate; CPU is the client process's own (user and
system). Two ways of driving: closed (a fixed number of calls in flight, as fast as it goes) and
paced (a constant rate, as the engine drives; one due instant per call). Prints medians, and the
ratio to the cheaper of two tight loops (on asyncio's own event loop, and on uvloop).

    python benchmarks/grpc_client_cpu.py [--rounds 7] [--calls 6000] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent import futures
from pathlib import Path
from typing import Any

PROTO = """
syntax = "proto3";
package bench;
message Question { string id = 1; repeated double values = 2; }
message Model { string name = 1; string version = 2; }
message Answer { string id = 1; double prediction = 2; Model model = 3; }
service Scorer { rpc Score(Question) returns (Answer); }
"""
METHOD = "/bench.Scorer/Score"
TARGET_RATIO = 0.40


class CountingSink:
    """As little as a sink can do: the engine's own stamps and judges besides."""

    def __init__(self) -> None:
        self.left = 0
        self.bad = 0
        self.next: Callable[[], None] | None = None
        self.done: asyncio.Future[None] | None = None

    def sent(self, _row: int) -> None: ...

    def answered(self, _row: int, _status: int, _body: bytes) -> None:
        self._one()

    def shed(self, _row: int, _status: int) -> None:
        self.bad += 1
        self._one()

    def failed(self, _row: int, _kind: str, _detail: str = "", _status: int = -1) -> None:
        self.bad += 1
        self._one()

    def note(self, _kind: str, **_detail: Any) -> None: ...

    def tell(self, _kind: str, **_detail: Any) -> None: ...

    def _one(self) -> None:
        self.left -= 1
        if self.next is not None:
            self.next()
        if self.left == 0 and self.done is not None and not self.done.done():
            self.done.set_result(None)


def serve(port_file: str) -> None:
    """Answers with a constant, on gRPC's own library, until its standard input closes."""
    import grpc

    answer = b"\x0a\x04id-1\x11\x00\x00\x00\x00\x00\x00\xe0?\x1a\x0b\x0a\x06scorer\x12\x011"

    def score(_request: bytes, _context: Any) -> bytes:
        return answer

    handler = grpc.method_handlers_generic_handler(
        "bench.Scorer", {"Score": grpc.unary_unary_rpc_method_handler(score)}
    )
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    Path(port_file).write_text(str(port))
    sys.stdin.read()
    server.stop(None)


async def closed(send: Callable[[int], None], sink: CountingSink, calls: int, in_flight: int) -> None:
    """Keep `in_flight` calls out until `calls` are answered."""
    sink.left, started = calls, 0
    sink.done = asyncio.get_running_loop().create_future()

    def more() -> None:
        nonlocal started
        if started < calls:
            started += 1
            send(started)

    sink.next = more
    for _ in range(min(in_flight, calls)):
        more()
    await sink.done
    sink.next = None


async def paced(send: Callable[[int], None], sink: CountingSink, calls: int, rate: int) -> None:
    """One call at each due instant, whatever became of those before."""
    loop = asyncio.get_running_loop()
    sink.left, sink.next = calls, None
    sink.done = loop.create_future()
    begin = loop.time()
    for row in range(calls):
        ahead = begin + row / rate - loop.time()
        if ahead > 0:
            await asyncio.sleep(ahead)
        send(row)
    await sink.done


async def drive(send: Callable[[int], None], sink: CountingSink, calls: int, way: str) -> float:
    """CPU microseconds of this process per call."""
    kind, _, number = way.partition("-")
    run = closed if kind == "closed" else paced
    await run(send, sink, calls // 10, int(number))
    before = time.process_time()
    await run(send, sink, calls, int(number))
    return (time.process_time() - before) / calls * 1e6


async def tight_loop(port: int, calls: int, way: str, body: bytes) -> float:
    """The least a user of grpc.aio can write: workers that await calls; bytes in, bytes out."""
    import grpc.aio

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary(METHOD)  # type: ignore[call-arg]  # the stubs require what has defaults
        kind, _, number = way.partition("-")

        async def worker(count: int) -> None:
            for _ in range(count):
                await call(body, timeout=60.0)

        async def run(count: int) -> None:
            if kind == "closed":
                await asyncio.gather(*(worker(count // int(number)) for _ in range(int(number))))
                return
            loop = asyncio.get_running_loop()
            begin, tasks = loop.time(), []
            for row in range(count):
                ahead = begin + row / int(number) - loop.time()
                if ahead > 0:
                    await asyncio.sleep(ahead)
                tasks.append(loop.create_task(worker(1)))
            await asyncio.gather(*tasks)

        await run(calls // 10)
        before = time.process_time()
        await run(calls)
        return (time.process_time() - before) / calls * 1e6


async def transport(name: str, port: int, calls: int, way: str, proto: str) -> float:
    import importlib

    from proofload.transports import TransportSpec

    sink = CountingSink()
    spec = TransportSpec(
        name=name,
        url=f"grpc://127.0.0.1:{port}",
        bodies=[json.dumps({"id": "id-1", "values": [index / 16 for index in range(16)]}).encode()],
        request={"method": METHOD.strip("/"), "proto": proto},
        timeout_s=60.0,
    )
    module = importlib.import_module(f"proofload.transports.{name.replace('-', '_')}")
    made = module.create(spec, sink)
    await made.open()
    spent = await drive(lambda row: made.send(row, 0), sink, calls, way)
    await made.close()
    if sink.bad:
        raise SystemExit(f"{name}: {sink.bad} calls were not answered")
    return spent


def client(name: str, port: int, calls: int, way: str) -> None:
    """One round in this fresh process."""
    import uvloop

    body = b"\x0a\x04id-1\x12\x80\x01" + bytes(128)
    with tempfile.TemporaryDirectory() as folder:
        proto = Path(folder) / "bench.proto"
        proto.write_text(PROTO)
        work: Awaitable[float]
        if name.startswith("tight"):
            work = tight_loop(port, calls, way, body)
        else:
            work = transport(name, port, calls, way, str(proto))
        runner = asyncio.Runner(loop_factory=None if name == "tight-loop" else uvloop.new_event_loop)
        with runner:
            print(runner.run(_value(work)))


async def _value(work: Awaitable[float]) -> float:
    return await work


def _pinned(core: int) -> list[str]:
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core])] if shutil.which("taskset") and len(cores) > 1 else []


def measure(rounds: int, calls: int, ways: list[str]) -> dict[str, Any]:
    """Medians over alternating rounds, each client a fresh process on the first core."""
    tight = ["tight-loop", "tight-uvloop"]
    names = [*tight, "grpc", "grpc-aio"]
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        me = [sys.executable, __file__]
        server = subprocess.Popen([*_pinned(-1), *me, "--serve", str(port_file)], stdin=subprocess.PIPE)
        try:
            while not port_file.exists() or not port_file.read_text():
                if server.poll() is not None:
                    raise SystemExit("the benchmark's server died")
                time.sleep(0.02)
            port = port_file.read_text()
            result: dict[str, Any] = {}
            for way in ways:
                seen: dict[str, list[float]] = {name: [] for name in names}
                for turn in range(rounds):
                    for name in names if turn % 2 else reversed(names):
                        command = [
                            *_pinned(0),
                            *me,
                            "--client",
                            name,
                            "--port",
                            port,
                            "--calls",
                            str(calls),
                            "--way",
                            way,
                        ]
                        done = subprocess.run(command, capture_output=True, text=True, check=False)
                        if done.returncode != 0:
                            raise SystemExit(f"{name}: {done.stderr[-2000:]}")
                        seen[name].append(float(done.stdout))
                medians = {name: statistics.median(values) for name, values in seen.items()}
                cheaper = min(tight, key=medians.__getitem__)
                ratios = [ours / theirs for ours, theirs in zip(seen["grpc"], seen[cheaper], strict=True)]
                result[way] = {
                    "cpu_us": medians,
                    "against": cheaper,
                    "ratio": statistics.median(ratios),
                    "ratios": ratios,
                }
            return result
        finally:
            assert server.stdin is not None
            server.stdin.close()
            server.wait(10)


def main() -> int:
    """1 when the fast transport costs more than the target's share of a tight loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=6000)
    parser.add_argument("--ways", default="closed-50,paced-400", help="closed-IN_FLIGHT or paced-RATE, comma between")
    parser.add_argument("--json")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    if options.client:
        client(options.client, options.port, options.calls, options.way)
        return 0
    result = measure(options.rounds, options.calls, options.ways.split(","))
    for way, found in result.items():
        for name, spent in found["cpu_us"].items():
            print(f"{way:>12}  {name:<12} {spent:7.1f} µs of client CPU per unary call")
        verdict = "within" if found["ratio"] <= TARGET_RATIO else "ABOVE"
        print(
            f"{way:>12}  grpc ÷ {found['against']} = {found['ratio']:.2f}  ({verdict} the target of {TARGET_RATIO:.2f})"
        )
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=1))
    return 0 if all(found["ratio"] <= TARGET_RATIO for found in result.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
