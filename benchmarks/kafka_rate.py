"""How many correlated Kafka messages a second the engine drives on one core, echo worker and broker on another.

    python benchmarks/kafka_rate.py [--rate 15000 --rate 20000] [--seconds 8]

Engine process on the lowest core, the embedded broker and an echo worker on the highest. Every reply is checked.
Prints one line a rate: what was due, what was answered correctly, send lag, service time, CPU of each process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from proofload.brokers import embedded_broker
from proofload.engine.client import EngineSpec, Stretch, started
from proofload.engine.worker import ArmSpec
from proofload.records import Outcome
from proofload.store.folder import RunFolder, claim
from proofload.store.record import RunRecord

PAYLOADS = 256
MS = 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all rates; 1 when one was not held (99.9 % correct, send lag p99 within 1 ms)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, action="append", help="messages per second; may be given again")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--echo", metavar="BOOTSTRAP", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.echo:
        echo(options.echo)
        return 0
    rates = options.rate or [15_000.0]
    cores = sorted(os.sched_getaffinity(0))
    held = True
    for rate in rates:
        with tempfile.TemporaryDirectory(prefix="proofload-kafka-") as place:
            held &= one_rate(Path(place), rate, options.seconds, engine_core=cores[0], other_core=cores[-1])
    return 0 if held else 1


def one_rate(place: Path, rate: float, seconds: float, *, engine_core: int, other_core: int) -> bool:
    payloads = place / "payloads.jsonl"
    payloads.write_text(
        "".join(
            json.dumps({"body": {"prediction": number / 7, "padding": "x" * 120}, "expect": number / 7}) + "\n"
            for number in range(PAYLOADS)
        )
    )
    folder = RunFolder(claim(place / "run"), {"benchmark": "kafka_rate", "rate_rps": rate})
    with embedded_broker(place, (other_core,)) as broker, echo_worker(broker.bootstrap, other_core) as worker:
        spec = EngineSpec(payloads=str(payloads), cores=[engine_core], peak_rps=rate)
        with started(spec, folder, dict(os.environ)) as engine:
            engine.open(0, ArmSpec("kafka", f"kafka://{broker.bootstrap}"))
            engine.run([Stretch("load", rate, seconds)], lambda *_: None)
        cpu = {name: cpu_s(pid) / seconds for name, pid in (("echo", worker.pid), ("broker", broker.pid))}
    folder.close()
    return tell(RunRecord(place / "run"), rate, seconds, cpu)


def tell(record: RunRecord, rate: float, seconds: float, cpu: dict[str, float]) -> bool:
    table = record.samples().table
    ok = int((table["outcome"] == int(Outcome.OK)).sum())
    answered = table[table["done_ns"] > 0]
    lag = np.percentile(table["dispatched_ns"] - table["intended_ns"], [50, 99, 100]) / MS
    service = np.percentile(answered["done_ns"] - answered["sent_ns"], [50, 99, 99.9]) / MS
    engine = [event.detail["cpu_share"] for event in record.events if event.kind == "health"]
    print(
        f"due {rate:,.0f}/s, correct {ok / seconds:,.0f}/s ({ok:,} of {len(table):,}); "
        f"send lag ms p50 {lag[0]:.3f} p99 {lag[1]:.3f} max {lag[2]:.2f}; "
        f"service ms p50 {service[0]:.2f} p99 {service[1]:.2f} p99.9 {service[2]:.2f}; "
        f"CPU of a core: engine {max(engine, default=0.0):.2f} echo {cpu['echo']:.2f} broker {cpu['broker']:.2f}"
    )
    for event in record.events:
        if event.kind == "example":
            print("  ", event.detail)
    return ok >= 0.999 * len(table) and lag[1] <= 1.0


@contextmanager
def echo_worker(bootstrap: str, core: int) -> Iterator[subprocess.Popen[bytes]]:
    """This file with --echo, pinned; ready when it says so."""
    process = subprocess.Popen([sys.executable, __file__, "--echo", bootstrap], stdout=subprocess.PIPE)
    try:
        psutil.Process(process.pid).cpu_affinity([core])
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()


def cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def echo(bootstrap: str) -> None:
    """Send every message of `features` back through `predictions`, headers and all."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    fast: dict[str, Any] = {"bootstrap.servers": bootstrap, "socket.nagle.disable": True}
    producer: Any = Producer({**fast, "linger.ms": 1, "acks": 1, "queue.buffering.max.messages": 1_000_000})
    consumer: Any = Consumer({**fast, "group.id": "echo", "enable.auto.commit": False, "fetch.wait.max.ms": 1})
    for topic in ("features", "predictions"):
        producer.list_topics(topic, timeout=10)
    partitions = consumer.list_topics("features", timeout=10).topics["features"].partitions
    consumer.assign([TopicPartition("features", number, 0) for number in partitions])
    print("ready", flush=True)
    while True:
        first = consumer.poll(1.0)
        if first is None:
            continue
        for message in [first, *consumer.consume(10_000, 0)]:
            if message.error() is None:
                producer.produce("predictions", message.value(), headers=message.headers())
        producer.poll(0)


if __name__ == "__main__":
    sys.exit(main())
