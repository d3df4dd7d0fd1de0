"""`proofload compare`: several options over the same situations, and a page that a team can decide from.

    what was asked ─> plan of lifetimes ─> run folders ─> readings ─> Comparison ─> page, JSON, terminal

Nothing after the run folders measures, and nothing before them judges: an interrupted comparison goes on, and a
finished one can be judged again.
"""
