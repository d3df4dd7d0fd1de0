"""Starts the worker; exit 0 after a drain, 1 when it ended with requests unanswered, 2 when it cannot serve."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from proofload_servers.serving import Settings, StartupError, arguments
from proofload_servers.serving.logs import configure
from proofload_servers.serving.side_port import SidePort

from .clients import find_topics, make_producer
from .exactly_once import ExactlyOnceWorker
from .options import add_kafka_flags, kafka_options
from .readiness import StreamService
from .worker import Worker, client_error

CANNOT_SERVE = 2
UNFINISHED = 1
LOG = logging.getLogger("proofload_servers.kafka")


def main(argv: Sequence[str]) -> int:
    parser = arguments("kafka_worker", "Predictions over Kafka: requests from one topic, replies to another.")
    add_kafka_flags(parser)
    namespace = parser.parse_args(argv)
    # The topic is the queue: nothing is shed for waiting, what waits too long has a deadline.
    settings = replace(Settings.of(namespace), max_wait_ms=0.0)
    configure(settings.log_level)
    options = kafka_options(namespace)
    try:
        if settings.workers > 1:
            raise StartupError("--workers: start more workers with the same --group instead, the group shares the work")
        if settings.rate_limit_rps:
            raise StartupError("--rate-limit-rps: a message does not say who sent it; limits are the broker's (quotas)")
        service = StreamService.start(settings)
        assert isinstance(service, StreamService)
        side_port = SidePort(service, settings.host, settings.metrics_port)
        LOG.info("health and metrics", extra={"port": side_port.port})
        producer = make_producer(options, client_error)
        mock, replies = find_topics(producer, options)
        if mock and options.guarantee == "exactly-once":
            raise StartupError(
                f"--guarantee exactly-once: the broker at {options.broker} is librdkafka's mock, which shows readers "
                "what no transaction has committed; give a real one: --broker HOST:PORT"
            )
        kind = ExactlyOnceWorker if options.guarantee == "exactly-once" else Worker
        worker = service.seams.stream_worker(kind)(service, options, producer, mock=mock, replies=replies)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop())
        service.wait_ready()
        finished = worker.run()
        side_port.close()
    except StartupError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return CANNOT_SERVE
    return 0 if finished else UNFINISHED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
