"""How far the training of a trial came: its epochs so far, and the weights of the best one."""

import json
import time

from torch import nn

from study.engine.training.fit import Epoch, FitState
from study.engine.training.trained_state import trained_state
from study.evidence.records import EpochRecord

CHECKPOINT_EVERY_S = 20.0  # a kill costs at most this much training beside the running epoch


class Progress:
    """The best epoch so far, and the records of all epochs.

    Args:
        key: Key of the trial.
        synthetic: Whether the images are drawn.
    """

    def __init__(self, key: str, *, synthetic: bool) -> None:
        self.key, self.synthetic = key, synthetic
        self.value, self.best_epoch = float("-inf"), 0
        self.weights: FitState = {}
        self.epochs: list[EpochRecord] = []
        self._written = time.monotonic()

    def resume(self, start: FitState | None) -> None:
        """Takes what a checkpoint says."""
        if start is not None:
            self.value, self.best_epoch = start["best"], start["best_epoch"]
            self.weights = start["best_weights"]
            self.epochs = [EpochRecord(**row) for row in json.loads(start["epochs"])]

    def note(self, epoch: Epoch, net: nn.Module) -> EpochRecord:
        """Keeps an epoch, and the weights that training changes if it is the best so far."""
        record = EpochRecord(
            trial=self.key,
            epoch=epoch.epoch,
            train_loss=epoch.train_loss,
            val_loss=epoch.val_loss,
            value=epoch.value,
            lr=epoch.lr,
            seconds=epoch.seconds,
            pairs_per_second=epoch.pairs_per_second,
            synthetic=self.synthetic,
        )
        self.epochs.append(record)
        if epoch.improved:
            self.value, self.best_epoch = epoch.value, epoch.epoch
            self.weights = {name: tensor.cpu().clone() for name, tensor in trained_state(net).items()}
        return record

    def checkpoint_due(self) -> bool:
        """Whether it is time for a checkpoint; counts from this call on if it is."""
        if time.monotonic() - self._written < CHECKPOINT_EVERY_S:
            return False
        self._written = time.monotonic()
        return True

    def state(self) -> FitState:
        """What `resume` takes back."""
        rows = [record.row() for record in self.epochs]
        return {"best_epoch": self.best_epoch, "best_weights": self.weights, "epochs": json.dumps(rows)}
