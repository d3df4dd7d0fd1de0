"""soak's parts: its signals, their growth, what follows."""
