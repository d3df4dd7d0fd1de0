"""The page of a comparison: what was required, who stands where, what it costs, and what was not measured.

Comparison ─> decision_document() ─> Document ─> html.page, md.page
"""
