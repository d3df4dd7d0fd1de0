"""shadow's parts."""
