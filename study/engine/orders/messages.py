"""What a trial's process tells the conductor: each epoch, and how the training ended.

The messages travel through Ray as plain dictionaries; here alone they are written and read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Self

from study.evidence.records import EpochRecord, Outcome, Row
from study.spec.wording import shortened

STATE = "state"  # the key of a message that says what it is


class EpochState(StrEnum):
    """Whether the pruner is to judge an epoch."""

    RUNNING = "running"
    KNOWN = "known"  # an epoch from before an interruption, which was judged when it was new


class Ending(StrEnum):
    """How a training ended, seen from its process."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"
    UNSAVED = "unsaved"  # trained, but its record could not be written
    NODE_FAULT = "node_fault"  # its machine could not do its part: another one may, or the same one later
    NOT_STARTED = "not_started"  # the cluster had no place for its workers, or they could not start there
    INTERRUPTED = "interrupted"  # told to stop in the middle


@dataclass(frozen=True)
class EpochMessage:
    """One epoch of a running trial.

    Attributes:
        record: The numbers of the epoch.
        judged: Whether the pruner is to judge it.
    """

    record: EpochRecord
    judged: bool = True

    def pack(self) -> Row:
        """The message as plain data."""
        return {STATE: str(EpochState.RUNNING if self.judged else EpochState.KNOWN), **self.record.row()}

    @classmethod
    def unpack(cls, data: Mapping[str, object]) -> Self | None:
        """The message of plain data among which Ray may have put its own; None where it is no epoch."""
        if data.get(STATE) not in list(EpochState):
            return None
        record = EpochRecord(**{f.name: data[f.name] for f in fields(EpochRecord)})  # type: ignore[arg-type]
        return cls(record, judged=data[STATE] == EpochState.RUNNING)


@dataclass(frozen=True)
class EndMessage:
    """The end of a trial.

    Attributes:
        ending: How the training ended.
        outcome: Why it failed.
        message: What the error said, or why a complete training has collapsed.
        objectives: Value of each objective of a complete trial.
    """

    ending: Ending
    outcome: Outcome = Outcome.NONE
    message: str = ""
    objectives: Mapping[str, float] = field(default_factory=dict)

    def pack(self) -> Row:
        """The message as plain data."""
        return {
            STATE: str(self.ending),
            "outcome": str(self.outcome),
            "message": shortened(self.message),
            "objectives": json.dumps(dict(self.objectives)),
        }

    @classmethod
    def unpack(cls, data: Mapping[str, object]) -> Self:
        """The message of plain data; a trial whose last message is an epoch was interrupted."""
        if data.get(STATE) not in list(Ending):
            return cls(Ending.INTERRUPTED)
        return cls(
            Ending(str(data[STATE])),
            Outcome(str(data["outcome"])),
            str(data["message"]),
            json.loads(str(data["objectives"])),
        )
