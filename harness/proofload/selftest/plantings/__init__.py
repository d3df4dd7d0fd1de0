"""Real servers with planted defects and healthy ones, one file a scenario: `create() -> Sequence[Case]`."""
