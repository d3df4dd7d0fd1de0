"""Nights: a matrix of runs, again and again, and what changed between them.

plan.py         reading a plan file; which cells a night has, and in which order
night.py        one night's folder: what was planned, what has been done of it
running.py      doing the cells that are missing, each in a process of its own
alone.py        one night, and one run, at a time
figures.py      the figures of a result that are followed over nights, procedure by procedure
likeness.py     fingerprints of host and configuration: which runs may be compared
rows.py         from a run folder to the row that the history keeps of it
history.py      the index over all run folders (DuckDB); it can be made again from them
trends.py       courses of like runs, and the changes in them
chronicle.py    all nights as they are told
retention.py    which old samples may go
site/           the pages
"""
