"""Decision functions under trial, one file each: `create() -> Trial`. See `proofload.selftest`."""
