"""The Kafka worker with transactions: `python -m proofload_servers.kafka_exactly_once --model scorer --broker HOST:PORT`.

The same program as kafka_worker, told `--guarantee exactly-once`; a serving option of its own, so that the two can be compared.
"""
