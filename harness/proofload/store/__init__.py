"""The run folder: the immutable record of one run, from which every number can be computed again.

folder.py        making one, run.json, events.jsonl
segments.py      closed Parquet segments, written as the run goes, compacted at its end
record.py        reading one back
result_json.py   result.json, schema proofload.result/1
results_json.py  the results of one command, schema proofload.results/1
"""
