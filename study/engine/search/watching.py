"""What happens to trials, told to whoever wants to show or keep it."""

from collections.abc import Sequence
from dataclasses import dataclass

from study.engine.orders.trial_order import TrialOrder
from study.evidence.records import EpochRecord, State


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A trial that has ended and whose record is written.

    Attributes:
        order: The trial.
        state: How it ended.
        values: Its objectives, where it is complete.
        message: What is to be said of it; empty for nothing.
        epochs: Its epochs.
    """

    order: TrialOrder
    state: State
    values: Sequence[float]
    message: str
    epochs: Sequence[EpochRecord]


class Watcher:
    """Is told what happens to trials; this one does nothing with it."""

    def started(self, order: TrialOrder) -> None:
        """A trial was given out."""

    def epoch(self, order: TrialOrder, record: EpochRecord) -> None:
        """A running trial finished an epoch."""

    def ended(self, trial: Ended) -> None:
        """A trial ended and its record is written."""
