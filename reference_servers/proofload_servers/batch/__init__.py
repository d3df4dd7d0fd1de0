"""Offline scoring: `python -m proofload_servers.batch --model fraud --input in.csv --output out.csv`.

The same core, features, graph and session settings as online, so offline and online predictions agree. Exit 0: every
row was scored; 1: some rows were rejected, each with its reason in the rejects file; 2: nothing could be scored.
"""
