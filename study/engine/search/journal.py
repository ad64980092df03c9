"""An Optuna journal beside the records, in which optuna-dashboard shows the study live.

    optuna-dashboard runs/<study>/optuna.log

The records stay the truth. The journal is a copy: it may be deleted at any time, and one that cannot be
read is written anew from the records.
"""

import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import LOCK_FILE_SUFFIX
from optuna.study import StudyDirection
from optuna.trial import TrialState
from pyarrow import fs

from study.engine.orders.trial_order import TrialOrder
from study.engine.search.samplers import distribution
from study.engine.search.suggestions import STATES
from study.engine.search.watching import Ended, Watcher
from study.evidence.records import EpochRecord, FinishedTrial, Role, State
from study.evidence.store import Store
from study.spec.study_file import StudySpec

LOG = logging.getLogger(__name__)
FILE = "optuna.log"


class Journal(Watcher):
    """Notes search trials in an Optuna journal.

    Args:
        path: File of the journal; None to note nothing, since a journal needs a local disk.
        spec: The study.
        objectives: Each objective with whether smaller is better.
        finished: Finished trials of the search.
    """

    def __init__(
        self,
        path: Path | None,
        spec: StudySpec,
        objectives: Mapping[str, bool],
        finished: Sequence[FinishedTrial],
    ) -> None:
        self._directions = [
            StudyDirection.MINIMIZE if smaller else StudyDirection.MAXIMIZE for smaller in objectives.values()
        ]
        self._names, self._spec = list(objectives), spec
        self._distributions = {name: distribution(hole) for name, hole in spec.holes().items()}
        self._ids: dict[str, int] = {}
        self._study = self._opened(path, finished) if path is not None else None

    @classmethod
    def beside(
        cls,
        store: Store,
        spec: StudySpec,
        objectives: Mapping[str, bool],
        finished: Sequence[FinishedTrial],
    ) -> "Journal":
        """The journal of a run, brought up to date with its records."""
        path = Path(store.root) / FILE if isinstance(store.filesystem, fs.LocalFileSystem) else None
        return cls(path, spec, objectives, [trial for trial in finished if trial.role is Role.SEARCH])

    def _opened(self, path: Path, finished: Sequence[FinishedTrial]) -> optuna.Study | None:
        try:
            return self._reconciled(path, finished)
        except Exception as error:  # whatever is wrong with a copy, the study goes on
            LOG.warning("%s is written anew: %s", path, error)
        try:
            path.unlink(missing_ok=True)
            return self._reconciled(path, finished)
        except Exception as error:
            LOG.warning("%s is given up: %s", path, error)
            return None

    def _reconciled(self, path: Path, finished: Sequence[FinishedTrial]) -> optuna.Study:
        """The journal's study with every finished trial told once.

        A trial that was running is kept, and is taken up again when it goes on.
        """
        study = self._load(path)
        there = {trial.user_attrs.get("trial", ""): trial for trial in study.get_trials(deepcopy=False)}
        ended = {key for key, trial in there.items() if trial.state.is_finished()}
        if unknown := ended - {trial.trial for trial in finished}:
            raise ValueError(f"it holds trials that the records do not: {sorted(unknown)[:3]}")
        self._ids = {key: trial._trial_id for key, trial in there.items() if key not in ended}
        for trial in finished:
            if trial.trial in self._ids:
                _end(study, there[trial.trial].number, trial.state, list(trial.objectives.values()))
            elif trial.trial not in there:
                study.add_trial(self._frozen(trial))
        return study

    def _load(self, path: Path) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _cut_torn_line(path)
        # The lock of a killed driver; Optuna would wait 30 s for it.
        Path(f"{path}{LOCK_FILE_SUFFIX}").unlink(missing_ok=True)
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name=self._spec.study,
            directions=self._directions,
            load_if_exists=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(self._names)
        return study

    def _frozen(self, trial: FinishedTrial) -> optuna.trial.FrozenTrial:
        params = {name: value for name, value in trial.params.items() if name in self._distributions}
        state, values = _ending(trial.state, list(trial.objectives.values()))
        return optuna.trial.create_trial(
            state=state,
            values=values,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            user_attrs={"trial": trial.trial},
        )

    def started(self, order: TrialOrder) -> None:
        """Notes a trial of the search as running."""
        if order.role is Role.SEARCH and order.key not in self._ids:
            self._note(lambda study: self._start(study, order))

    def _start(self, study: optuna.Study, order: TrialOrder) -> None:
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=dict(order.params),
            distributions={name: self._distributions[name] for name in order.params},
            user_attrs={"trial": order.key},
        )
        # The trial is one line of the journal: a kill leaves a whole trial or none.
        self._ids[order.key] = study._storage.create_new_trial(study._study_id, trial)

    def epoch(self, order: TrialOrder, record: EpochRecord) -> None:
        """Notes an epoch's first objective."""
        if order.key in self._ids and math.isfinite(record.value):
            place = (self._ids[order.key], record.epoch, record.value)
            self._note(lambda study: study._storage.set_trial_intermediate_value(*place))

    def ended(self, trial: Ended) -> None:
        """Notes how a trial ended."""
        if trial.order.key in self._ids:
            identity = self._ids.pop(trial.order.key)
            self._note(
                lambda study: _end(
                    study, study._storage.get_trial(identity).number, trial.state, trial.values
                )
            )

    def _note(self, write: Callable[[optuna.Study], None]) -> None:
        """Writes; a journal that cannot be written is left alone from then on, and the study goes on."""
        try:
            if self._study is not None:
                write(self._study)
        except Exception as error:
            LOG.warning("the Optuna journal is given up: %s", error)
            self._study = None


def _end(study: optuna.Study, number: int, state: State, values: Sequence[float]) -> None:
    ending, told = _ending(state, values)
    study.tell(number, told, state=ending)


def _ending(state: State, values: Sequence[float]) -> tuple[TrialState, list[float] | None]:
    if state is not State.COMPLETE:
        return STATES[state], None
    finite = bool(values) and all(math.isfinite(value) for value in values)
    return (TrialState.COMPLETE, list(values)) if finite else (TrialState.FAIL, None)


def _cut_torn_line(path: Path) -> None:
    """Removes a line that a kill cut short; it would make every later one unreadable."""
    if path.exists():
        text = path.read_bytes()
        if text and not text.endswith(b"\n"):
            path.write_bytes(text[: text.rfind(b"\n") + 1])
