"""From millions of samples and readings to the few hundred numbers a report shows. Pure functions of
columns; each goes through one phase at a time and keeps nothing of it but its summary."""
