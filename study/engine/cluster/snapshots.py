"""Tune's own snapshots of a search, which are never restored: the records of the run are the memory."""


class NotInSnapshots:
    """A part of Tune's search that leaves nothing in a snapshot."""

    def __getstate__(self) -> dict[str, object]:
        return {}
