"""Predictions over Kafka: `python -m proofload_servers.kafka_worker --model scorer --broker 127.0.0.1:9092`.

Requests come from one topic, replies go to another, keyed by the correlation id, into the partition with the number
of the request's. At least once: an offset is committed when its reply, and those of all requests before it, have
reached the broker. Exactly once, if `--guarantee` says so: replies and offsets are committed together, by transactions
(exactly_once.py), and whoever reads committed messages only sees one reply to each request, whatever dies meanwhile.
Errors are replies too: header `status` says 200, 400, 500, 503 or 504.
"""
