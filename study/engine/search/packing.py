"""Packs finished trials while a study runs, so that the number of files stays bounded."""

import logging
from collections.abc import Iterable
from threading import Thread
from types import TracebackType
from typing import Self

from pyarrow import ArrowException

from study.engine.search.watching import Ended, Watcher
from study.evidence.store import Store

LOG = logging.getLogger(__name__)
TRIALS_OF_PACK = 256


class Packing(Watcher):
    """Packs trials as soon as there are enough, on a thread beside the search.

    Args:
        store: Records of the run.
        finished: Trials that had a record before.
        trials_of_pack: Number of trials that are packed together.
    """

    def __init__(
        self, store: Store, finished: Iterable[str], *, trials_of_pack: int = TRIALS_OF_PACK
    ) -> None:
        packed = store.packs.homes()
        self._packs, self._size = store.packs, trials_of_pack
        self._waiting = [key for key in finished if key not in packed]
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        self._pack_if_due()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.join()

    def ended(self, trial: Ended) -> None:
        """Notes a trial whose record is written."""
        self._waiting.append(trial.order.key)
        self._pack_if_due()

    def _pack_if_due(self) -> None:
        at_work = self._thread is not None and self._thread.is_alive()
        if not at_work and len(self._waiting) >= self._size:
            self._thread = Thread(target=self._pack, daemon=True)
            self._thread.start()

    def _pack(self) -> None:
        """Packs what waits; where the storage refuses, the trials stay as they are, which is no loss."""
        while len(self._waiting) >= self._size:
            keys = self._waiting[: self._size]
            del self._waiting[: self._size]  # in place: the search appends meanwhile
            try:
                self._packs.write(keys)
            except (OSError, ArrowException) as error:
                LOG.warning("%d trials are not packed: %s", len(keys), error)
