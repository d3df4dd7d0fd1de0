"""The engine: schedule → dispatch → record, in processes of their own.

client.py      the lab's side: starts engine processes, hands them phases
recorder.py    drains their samples into the run folder
source.py      what it asks of an engine, here or elsewhere
worker.py      one engine process: `python -m proofload.engine`
schedule.py    this process's share of a phase's due times and payloads
dispatcher.py  sends what is due, never early, with absolute times
ledger.py      stamps and judges: the Sink that transports report to
answers.py     is this the expected answer?
ring.py        sample columns in shared memory
timer.py       wakes the event loop at an absolute instant
health.py      the client watches itself
"""
