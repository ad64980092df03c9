"""An Optuna journal beside the records, in which optuna-dashboard shows the study live. The records stay the truth.

    optuna-dashboard runs/<study>/optuna.log

The file is a copy: it may be deleted at any time, and what cannot be read is written anew from the records.
"""

import json
import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
from study.evidence.store import Store
from study.spec.study_file import StudySpec

LOG = logging.getLogger(__name__)
FILE = "optuna.log"


class Journal:
    """A `Watcher` that notes search trials in an Optuna journal.

    Args:
        path: the journal's file, None to note nothing: a journal needs a local disk.
        spec: the study.
        objectives: each with whether smaller is better.
        records: TRIAL rows of the trials that are finished.
    """

    def __init__(
        self,
        path: Path | None,
        spec: StudySpec,
        objectives: Mapping[str, bool],
        records: Sequence[Mapping[str, Any]],
    ) -> None:
        self._directions = [
            StudyDirection.MINIMIZE if smaller else StudyDirection.MAXIMIZE for smaller in objectives.values()
        ]
        self._names, self._spec = list(objectives), spec
        self._distributions = {name: distribution(hole) for name, hole in spec.holes().items()}
        self._ids: dict[str, int] = {}
        self._study = self._opened(path, records) if path is not None else None

    @classmethod
    def beside(
        cls,
        store: Store,
        spec: StudySpec,
        objectives: Mapping[str, bool],
        records: Sequence[Mapping[str, Any]],
    ) -> "Journal":
        """The journal of a run, brought up to date with its records."""
        local = isinstance(store.filesystem, fs.LocalFileSystem)
        return cls(
            Path(store.root) / FILE if local else None,
            spec,
            objectives,
            [row for row in records if row["role"] == "search"],
        )

    def _opened(self, path: Path, records: Sequence[Mapping[str, Any]]) -> optuna.Study | None:
        try:
            return self._reconciled(path, records)
        except Exception as error:  # whatever is wrong with a copy, the study goes on
            LOG.warning("%s is written anew: %s", path, error)
        try:
            path.unlink(missing_ok=True)
            return self._reconciled(path, records)
        except Exception as error:
            LOG.warning("%s is given up: %s", path, error)
            return None

    def _reconciled(self, path: Path, records: Sequence[Mapping[str, Any]]) -> optuna.Study:
        """The journal's study with every record told once; trials that were running are taken up again when they go on."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _cut_torn_line(path)
        Path(f"{path}{LOCK_FILE_SUFFIX}").unlink(
            missing_ok=True
        )  # of a killed driver; Optuna would wait 30 s for it
        storage = JournalStorage(JournalFileBackend(str(path)))
        study = optuna.create_study(
            storage=storage, study_name=self._spec.study, directions=self._directions, load_if_exists=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(self._names)
        there = {trial.user_attrs.get("trial", ""): trial for trial in study.get_trials(deepcopy=False)}
        if unknown := {key for key, trial in there.items() if trial.state.is_finished()} - {
            row["trial"] for row in records
        }:
            raise ValueError(f"it holds trials that the records do not: {sorted(unknown)[:3]}")
        self._ids = {key: trial._trial_id for key, trial in there.items() if not trial.state.is_finished()}
        for row in records:
            if row["trial"] in self._ids:
                _end(study, there[row["trial"]].number, row["state"], _values(row))
            elif row["trial"] not in there:
                study.add_trial(self._frozen(row))
        return study

    def _frozen(self, row: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
        params = {
            name: value for name, value in json.loads(row["params"]).items() if name in self._distributions
        }
        state, values = _ending(row["state"], _values(row))
        return optuna.trial.create_trial(
            state=state,
            values=values,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            user_attrs={"trial": row["trial"]},
        )

    def started(self, order: TrialOrder) -> None:
        """Notes a trial of the search as running."""
        if order.role == "search" and order.key not in self._ids:
            self._note(lambda study: self._start(study, order))

    def _start(self, study: optuna.Study, order: TrialOrder) -> None:
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=order.params,
            distributions={name: self._distributions[name] for name in order.params},
            user_attrs={"trial": order.key},
        )
        self._ids[order.key] = study._storage.create_new_trial(
            study._study_id, trial
        )  # one line: a kill leaves a whole trial or none

    def epoch(self, order: TrialOrder, row: dict[str, Any]) -> None:
        """Notes an epoch's first objective."""
        if order.key in self._ids and math.isfinite(row["value"]):
            place = (self._ids[order.key], row["epoch"], row["value"])
            self._note(lambda study: study._storage.set_trial_intermediate_value(*place))

    def ended(
        self, order: TrialOrder, state: str, values: Sequence[float], message: str, rows: list[dict[str, Any]]
    ) -> None:
        """Notes how a trial ended."""
        if order.key in self._ids:
            identity = self._ids.pop(order.key)
            self._note(lambda study: _end(study, study._storage.get_trial(identity).number, state, values))

    def _note(self, write: Callable[[optuna.Study], None]) -> None:
        """Writes; a journal that cannot be written is left alone from then on, and the study goes on."""
        try:
            if self._study is not None:
                write(self._study)
        except Exception as error:
            LOG.warning("the Optuna journal is given up: %s", error)
            self._study = None


def _end(study: optuna.Study, number: int, state: str, values: Sequence[float]) -> None:
    ending, told = _ending(state, values)
    study.tell(number, told, state=ending)


def _ending(state: str, values: Sequence[float]) -> tuple[TrialState, list[float] | None]:
    finite = bool(values) and all(math.isfinite(v) for v in values)
    if state == "complete":
        return (TrialState.COMPLETE, list(values)) if finite else (TrialState.FAIL, None)
    return STATES[state], None


def _values(row: Mapping[str, Any]) -> list[float]:
    return list(json.loads(row["objectives"]).values())


def _cut_torn_line(path: Path) -> None:
    """A line that a kill cut short would make every later one unreadable."""
    if path.exists():
        text = path.read_bytes()
        if text and not text.endswith(b"\n"):
            path.write_bytes(text[: text.rfind(b"\n") + 1])
