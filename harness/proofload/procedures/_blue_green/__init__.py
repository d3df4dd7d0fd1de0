"""blue-green's parts."""
