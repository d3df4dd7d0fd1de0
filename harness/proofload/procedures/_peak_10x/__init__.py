"""peak-10x's parts: the plan of loads, what was read of them, the signs of a cause, the words."""
