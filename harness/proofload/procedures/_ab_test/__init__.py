"""ab-test's parts."""
