"""skew's parts: files, live answers and golden sets; parity, drift, the words."""
