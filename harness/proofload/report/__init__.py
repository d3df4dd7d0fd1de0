"""What people see: one run or several, as HTML, Markdown, JSON and JUnit, and as a table in the terminal.

    store's record ─ view() ─> RunView ─ sections ─> Document ─ format ─> text

`view` is the only place that touches samples; it keeps small, downsampled things. The sections decide
what is said and in which order, once for every format; a format decides only how it looks.
"""
