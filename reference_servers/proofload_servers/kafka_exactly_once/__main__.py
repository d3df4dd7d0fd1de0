"""Starts the worker; its exits are kafka_worker's."""

from __future__ import annotations

import sys

from proofload_servers.kafka_worker.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["--guarantee", "exactly-once", *sys.argv[1:]]))
