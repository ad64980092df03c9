"""Open set of data sets: one file, one class `Dataset(root, *, ...)` with `.read() -> Pairs`."""
